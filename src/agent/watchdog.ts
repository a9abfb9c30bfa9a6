/**
 * Ends what the agent's tools started when the server is killed.
 *
 * The kernel ends the claude process with the server (`spawn.ts`), but not the claude process's own children: a command
 * of the Bash tool would run on, orphaned. A small shell waits on a pipe that closes when the server is gone, however it
 * went, and then kills every process that carries the server's mark in its environment. Linux only, as it needs /proc.
 */

import { spawn } from 'node:child_process';

/** In the environment of every process that the agent starts, with a value of its own for each server process. */
export const instanceVariable = 'PICOCLAW_INSTANCE';

export type Watchdog = { stop(): void };

/**
 * A process can fork while the others are being killed. One that has just been forked, or is being replaced by another program,
 * does not show the mark yet. So it looks again until nothing was found for a second. What cannot be killed is given up after a minute.
 */
const script = `
trap '' TERM INT HUP
while read -r _; do :; done
quiet=0 rounds=0
while [ "$quiet" -lt 10 ] && [ "$rounds" -lt 600 ]; do
  quiet=$((quiet + 1)) rounds=$((rounds + 1))
  for file in $(grep -lzFx -e "$1" /proc/[0-9]*/environ 2>/dev/null); do
    pid=\${file#/proc/}
    kill -KILL "\${pid%/environ}" 2>/dev/null && quiet=0
  done
  sleep 0.1
done
`;

export function startWatchdog(instance: string): Watchdog {
  if (process.platform !== 'linux') return { stop: () => undefined };
  const child = spawn('/bin/sh', ['-c', script, 'picoclaw-watchdog', `${instanceVariable}=${instance}`], {
    // A session of its own: a signal to the server's process group must not end it with the server.
    detached: true,
    // Not in a folder that may have to be unmounted, and with nothing of the server's environment.
    cwd: '/',
    env: { PATH: '/usr/bin:/bin' },
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  // Without a shell there is no watchdog; the server works without one.
  child.on('error', () => undefined);
  child.stdin?.on('error', () => undefined);
  child.unref();
  return { stop: () => void child.kill('SIGKILL') };
}
