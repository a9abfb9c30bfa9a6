/** What sort of file a path is: the same for every generation, nonce and number. */

import { relative } from 'node:path';

/** Null for a path in none of the roots. */
export function makeKind(roots: Record<string, string>, path: string): { root: string; sort: string } | null {
  for (const [root, folder] of Object.entries(roots)) {
    if (path !== folder && !path.startsWith(`${folder}/`)) continue;
    const sort = relative(folder, path)
      .replaceAll(/\d+-[0-9a-f]{16}/g, 'G')
      .replaceAll(/[0-9a-f]{16}/g, 'N');
    return { root, sort: sort === '' ? '.' : sort };
  }
  return null;
}
