/** By which an edit of an installed copy is noticed: SKILL.md as it reads, of all other files name, mode and size. */

import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

export async function fingerprintOf(skill: string): Promise<string> {
  const hash = createHash('sha256').update(await readFile(join(skill, 'SKILL.md')));
  // With file types, because otherwise links are followed, round in circles too.
  const found = await readdir(skill, { recursive: true, withFileTypes: true });
  for (const path of found.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    const { mode, size } = await lstat(path);
    hash.update(JSON.stringify([relative(skill, path), mode, size]));
  }
  return hash.digest('hex');
}
