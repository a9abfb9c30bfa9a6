/** Whether two paths hold the same: names, texts, links; times and modes do not count. What cannot be told differs. */

import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';

/** Larger files are not read, and taken to differ. */
const maxBytes = 10_000_000;

export async function hasSameContent(a: string, b: string): Promise<boolean> {
  return await compare(a, b).catch(() => false);
}

async function compare(a: string, b: string): Promise<boolean> {
  const [statA, statB] = await Promise.all([lstat(a), lstat(b)]);
  if (statA.isDirectory() && statB.isDirectory()) {
    const [namesA, namesB] = await Promise.all([readdir(a), readdir(b)]);
    if (namesA.sort().join('/') !== namesB.sort().join('/')) return false;
    for (const name of namesA) if (!(await compare(join(a, name), join(b, name)))) return false;
    return true;
  }
  if (statA.isSymbolicLink() && statB.isSymbolicLink()) return (await readlink(a)) === (await readlink(b));
  if (!statA.isFile() || !statB.isFile() || statA.size !== statB.size || statA.size > maxBytes) return false;
  if (statA.size === 0) return true;
  const [textA, textB] = await Promise.all([readFile(a), readFile(b)]);
  return textA.equals(textB);
}
