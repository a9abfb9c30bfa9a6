/** Which processes belong to a test server's folders: by working directory, whoever their parent is by now. */

import { readdirSync, readlinkSync } from 'node:fs';

/** Process ids whose working directory is below `dir`. */
export function liveProcesses(dir: string): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && workingDirectory(entry).startsWith(dir))
    .map(Number);
}

function workingDirectory(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}
