/**
 * Is this file whole, and which version of PicoClaw wrote it?
 *
 * The check reads every page, on this thread and on purpose: nothing is served before hydration is over, a worker
 * takes about as long to start as 100 MB take to check (60 ms), and the bundle stays one file.
 */

import { statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from './files.ts';

export type Inspection =
  | { kind: 'v1' | 'v2' }
  | { kind: 'damaged'; fault: string }
  | { kind: 'foreign'; fault: string };

/** `path` must not be open elsewhere in this process. */
export function inspectDatabase(path: string): Inspection {
  try {
    const db = new DatabaseSync(path);
    try {
      return checkSize(db, path) ?? checkPages(db) ?? recognise(db);
    } finally {
      db.close();
    }
  } catch (error) {
    return { kind: 'damaged', fault: messageOf(error) };
  }
}

/** SQLite reads what is missing of the last page as zeros, and finds nothing wrong where those are content. */
function checkSize(db: DatabaseSync, path: string): Inspection | null {
  const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count);
  const pageBytes = Number(db.prepare('PRAGMA page_size').get()?.page_size);
  const { size } = statSync(path);
  if (size >= pages * pageBytes) return null;
  return { kind: 'damaged', fault: `it was cut off: ${size} bytes of ${pages * pageBytes}` };
}

function checkPages(db: DatabaseSync): Inspection | null {
  const [first] = db.prepare('PRAGMA quick_check').all();
  const verdict = String(first?.quick_check);
  return verdict === 'ok' ? null : { kind: 'damaged', fault: verdict };
}

function recognise(db: DatabaseSync): Inspection {
  if (columnsOf(db, 'kysely_migration').has('name')) return { kind: 'v2' };
  const isVersion1 =
    columnsOf(db, 'conversations').has('message_count') && columnsOf(db, 'messages').has('conversation_id');
  if (isVersion1) return { kind: 'v1' };
  return { kind: 'foreign', fault: 'it is a SQLite database, but not one that PicoClaw wrote' };
}

function columnsOf(db: DatabaseSync, table: string): Set<string> {
  const rows = db.prepare('select name from pragma_table_info(?)').all(table);
  return new Set(rows.map((row) => String(row.name)));
}
