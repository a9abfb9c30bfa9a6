/**
 * Starts the claude process so that it cannot outlive the server.
 *
 * Left alone, a claude whose server is killed goes on to the end of its turn and writes the transcript that the next
 * server is already resuming. `setpriv --pdeathsig KILL` (util-linux) makes the kernel end it with its parent, on the
 * server's SIGKILL too. Without setpriv (macOS, BusyBox) it is started plainly.
 *
 * The kernel ties the signal to the thread that spawned: never call this from a worker thread that may end.
 */

import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import type { SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import { landlockOptions } from './landlock.ts';

const run = promisify(execFile);

/** Whether this host has a setpriv that knows `--pdeathsig`; BusyBox has one that does not. */
export async function canTieToParent(): Promise<boolean> {
  try {
    await run('setpriv', ['--pdeathsig', 'KILL', '--', 'true']);
    return true;
  } catch {
    return false;
  }
}

/** The command line in front of another that ends it with the server; empty where that is not to be had. */
export function tieToParentArgs(tieToParent: boolean): string[] {
  return tieToParent ? ['setpriv', '--pdeathsig', 'KILL', '--'] : [];
}

/** The same for an agent without a sandbox, kept from looking into the server where that is to be had. */
export function prefixOf({ tieToParent, hasLandlock }: { tieToParent: boolean; hasLandlock: boolean }): string[] {
  return hasLandlock ? ['setpriv', '--pdeathsig', 'KILL', ...landlockOptions, '--'] : tieToParentArgs(tieToParent);
}

/**
 * `prefix`: the command line in front (a sandbox, which ties to the parent by itself). The SDK's `signal` is left out: the
 * process is ended by its owner, which also waits until it is gone.
 */
export function spawnClaude(options: SpawnOptions, prefix: string[]): ChildProcessWithoutNullStreams {
  const [command = options.command, ...args] = [...prefix, options.command, ...options.args];
  // A session of its own: Ctrl-C at the server's terminal must not interrupt the run before the server has decided how.
  return spawn(command, args, { cwd: options.cwd, env: options.env, stdio: 'pipe', detached: true });
}
