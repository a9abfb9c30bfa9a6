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

/** The SDK's `signal` is left out: the process is ended by its owner, which also waits until it is gone. */
export function spawnClaude(options: SpawnOptions, tieToParent: boolean): ChildProcessWithoutNullStreams {
  const command = tieToParent ? 'setpriv' : options.command;
  const args = tieToParent ? ['--pdeathsig', 'KILL', '--', options.command, ...options.args] : options.args;
  // A session of its own: Ctrl-C at the server's terminal must not interrupt the run before the server has decided how.
  return spawn(command, args, { cwd: options.cwd, env: options.env, stdio: 'pipe', detached: true });
}
