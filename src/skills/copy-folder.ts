/**
 * Copies a folder so that the copy stands alone: links are followed, and what cannot be followed or read is left out and
 * named. Modes are kept, so that a skill's scripts can be run.
 */

import { copyFile, mkdir, readdir, realpath, stat, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { codeOf } from '../lib/error-code.ts';
import { faultOf } from './check-skill.ts';

/** Not of one file: every other would fail as well. */
const faultsOfVolume = ['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE'];

/** `to` must not be there. Resolves to what was left out: its path below `from`, and why. */
export async function copyFolder(from: string, to: string): Promise<{ path: string; why: string }[]> {
  const leftOut: { path: string; why: string }[] = [];
  const leaveOut = (path: string, why: string) => void leftOut.push({ path: relative(from, path), why });

  /** `above`: the real paths of the folders that this one is in. */
  async function copy(source: string, target: string, above: string[]): Promise<void> {
    try {
      const found = await stat(source);
      if (found.isDirectory()) await copyEntries(source, target, above);
      else if (!found.isFile()) leaveOut(source, 'is neither a file nor a folder');
      // A file of /proc says that it is empty, and can be without end.
      else if (found.size === 0) await writeFile(target, '', { mode: found.mode });
      else await copyFile(source, target);
    } catch (error) {
      if (faultsOfVolume.includes(codeOf(error) ?? '')) throw error;
      leaveOut(source, await faultOf(source, error));
    }
  }

  async function copyEntries(source: string, target: string, above: string[]): Promise<void> {
    const real = await realpath(source);
    if (above.includes(real)) return leaveOut(source, 'is a link to a folder that it is in');
    const names = await readdir(source);
    await mkdir(target);
    for (const name of names) await copy(join(source, name), join(target, name), [...above, real]);
  }

  await copy(from, to, []);
  return leftOut;
}
