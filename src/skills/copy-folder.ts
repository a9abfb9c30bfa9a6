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
    const read = await readSource(source, above).catch((error: unknown) => {
      if (faultsOfVolume.includes(codeOf(error) ?? '')) throw error;
      return faultOf(source, error);
    });
    if (typeof read === 'string') return leaveOut(source, read);
    try {
      // A file of /proc says that it is empty, and can be without end.
      if (read.kind === 'empty') await writeFile(target, '', { mode: read.mode });
      else if (read.kind === 'file') await copyFile(source, target);
      else await mkdir(target);
    } catch (error) {
      const code = codeOf(error) ?? '';
      if (faultsOfVolume.includes(code) || (read.kind === 'folder' && code !== 'ENAMETOOLONG')) throw error;
      return leaveOut(source, await faultOf(source, error));
    }
    if (read.kind !== 'folder') return;
    for (const name of read.names) await copy(join(source, name), join(target, name), [...above, read.real]);
  }

  await copy(from, to, []);
  return leftOut;
}

type Read = { kind: 'file' } | { kind: 'empty'; mode: number } | { kind: 'folder'; real: string; names: string[] };

/** A text says why it is not to be copied. */
async function readSource(path: string, above: string[]): Promise<Read | string> {
  const found = await stat(path);
  if (found.isFile()) return found.size === 0 ? { kind: 'empty', mode: found.mode } : { kind: 'file' };
  if (!found.isDirectory()) return 'is neither a file nor a folder';
  const real = await realpath(path);
  if (above.includes(real)) return 'is a link to a folder that it is in';
  return { kind: 'folder', real, names: await readdir(path) };
}
