/** By which an edit of an installed copy is noticed: SKILL.md as it reads, of all other files name, mode and size. */

import { createHash } from 'node:crypto';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { codeOf } from '../lib/error-code.ts';

/** Null for what is no folder with a SKILL.md. */
export async function fingerprintOf(folder: string): Promise<string | null> {
  try {
    const hash = createHash('sha256').update(await readFile(join(folder, 'SKILL.md')));
    // With file types, because otherwise links are followed, round in circles too.
    const found = await readdir(folder, { recursive: true, withFileTypes: true });
    for (const path of found.map((entry) => join(entry.parentPath, entry.name)).sort()) {
      const { mode, size } = await lstat(path);
      hash.update(JSON.stringify([relative(folder, path), mode, size]));
    }
    return hash.digest('hex');
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR' || code === 'ELOOP') return null;
    throw error;
  }
}
