/** Closes this process to the other processes of its user, as far as a running process can. What is left: exposure.ts. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/**
 * SIGUSR1 from any process of the user would open Node's debugger on loopback, with all that is in memory. A listener takes
 * the place of Node's own; without one the signal would end the process. `onAsked`: somebody has tried.
 *
 * For as long as the process runs. `--disable-sigusr1` on the command line does it from the first instant.
 */
export function refuseDebugger(onAsked: () => void): void {
  process.on('SIGUSR1', onAsked);
}

export function isDebuggerRefused(): boolean {
  const flags = [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(' ')];
  return process.listenerCount('SIGUSR1') > 0 || flags.includes('--disable-sigusr1');
}

/**
 * A core file is the memory of this process, for its user to read. Any process of the user can crash this one and raise its
 * limit first, so that it is the hard limit that counts. Node cannot set it, prlimit (util-linux) can; where there is none,
 * it stays as it is. All that this process starts inherits it.
 */
export async function forbidCoreDumps(): Promise<void> {
  await promisify(execFile)('prlimit', ['--core=0:0', '--pid', String(process.pid)]).catch(() => undefined);
}
