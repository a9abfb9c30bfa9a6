/** The names of what lies in STORE_DIR. Temporary names share a prefix that nothing else has, so that leftovers can be removed. */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';

const temporaryPrefix = 'messages.db.sync-';

export function databasePath(storeDir: string): string {
  return join(storeDir, 'messages.db');
}

/** The database of PicoClaw 1.x, as it was before this version took it over. */
export function version1Path(storeDir: string): string {
  return join(storeDir, 'messages.v1.db');
}

/** Never the same twice: two instances that overlap do not write into one file. */
export function temporaryPath(storeDir: string): string {
  return join(storeDir, `${temporaryPrefix}${randomUUID()}`);
}

/** The file itself, or a journal that SQLite made beside it. */
export function isTemporary(name: string): boolean {
  return name.startsWith(temporaryPrefix);
}
