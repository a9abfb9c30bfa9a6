/**
 * Copies a folder so that the copy stands alone: links are followed, and what cannot be followed or read is left out and
 * named. Modes are kept, so that a skill's scripts can be run.
 */

import { access, constants, copyFile, mkdir, readdir, realpath } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { codeOf } from '../lib/error-code.ts';
import { look, requireOwnFault } from './check-skill.ts';

/** `to` must not be there. Resolves to what was left out: its path below `from`, and why. */
export async function copyFolder(from: string, to: string): Promise<string[]> {
  const leftOut: string[] = [];
  const leaveOut = (path: string, why: string) => void leftOut.push(`${relative(from, path)} ${why}`);

  /** `above`: the real paths of the folders that this one is in. */
  async function copy(source: string, target: string, above: string[]): Promise<void> {
    const real = await realpath(source);
    if (above.includes(real)) return leaveOut(source, 'is a link to a folder that it is in');
    const entries = await readdir(source, { withFileTypes: true }).catch(requireOwnFault);
    if (typeof entries === 'string') return leaveOut(source, entries);
    await mkdir(target);
    for (const entry of entries) {
      const [path, copied] = [join(source, entry.name), join(target, entry.name)];
      const found = entry.isSymbolicLink() ? await look(path) : entry;
      if (found === null || typeof found === 'string') leaveOut(path, found ?? 'went away');
      else if (found.isDirectory()) await copy(path, copied, [...above, real]);
      else if (!found.isFile()) leaveOut(path, 'is neither a file nor a folder');
      else
        await copyFile(path, copied).catch(async (error: unknown) => leaveOut(path, await faultOfSource(path, error)));
    }
  }

  await copy(from, to, []);
  return leftOut;
}

/** Why the source cannot be read. What is wrong with the target is not the skill's fault, and goes on. */
async function faultOfSource(source: string, error: unknown): Promise<string> {
  const code = codeOf(error);
  if (code !== 'EACCES' && code !== 'EPERM') throw error;
  const fault = await access(source, constants.R_OK).then(() => null, requireOwnFault);
  if (fault === null) throw error;
  return fault;
}
