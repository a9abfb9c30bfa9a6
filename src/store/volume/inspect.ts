/**
 * Is this file whole, and which version of PicoClaw wrote it?
 *
 * The check reads every page, on this thread and on purpose: it is made at a start or for a file that is in doubt, when
 * nothing is served.
 */

import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../../lib/error-code.ts';

export type Kind = 'v1' | 'v2';
export type Inspection = { kind: Kind } | { fault: string };

/** `path` must not be open elsewhere in this process. A log or journal beside it is folded in. */
export function inspectDatabase(path: string): Inspection {
  try {
    const cut = findCut(path);
    if (cut !== null) return { fault: `is damaged: ${cut}` };
    const db = new DatabaseSync(path);
    try {
      return checkPages(db) ?? recognise(db);
    } finally {
      db.close();
    }
  } catch (error) {
    // A full disk, say, is no fault of the file.
    if (!isDamage(error)) throw error;
    return { fault: `is damaged: ${messageOf(error)}` };
  }
}

/** SQLite's result codes: SQLITE_CORRUPT and SQLITE_NOTADB, with whatever more they say in the higher bits. */
function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false;
  return [11, 26].includes(error.errcode & 0xff);
}

const magic = 'SQLite format 3\0';

/** SQLite reads what is missing of the last page as zeros, and finds nothing wrong where those are content. */
function findCut(path: string): string | null {
  // What it rolls back may be the very growth that the header tells of.
  if (existsSync(`${path}-journal`)) return null;
  const header = Buffer.alloc(100);
  const file = openSync(path, 'r');
  try {
    readSync(file, header, 0, header.length, 0);
    // Of another format: SQLite says so in better words.
    if (header.toString('latin1', 0, magic.length) !== magic) return null;
    const { size } = fstatSync(file);
    // SQLite file format §1.3: a size of 1 stands for 65,536; the page count holds where it was written with the last change.
    const stored = header.readUInt16BE(16);
    const pageBytes = stored === 1 ? 65_536 : stored;
    const pages = header.readUInt32BE(24) === header.readUInt32BE(92) ? header.readUInt32BE(28) : 0;
    return size < pages * pageBytes ? `it was cut off: ${size} bytes of ${pages * pageBytes}` : null;
  } finally {
    closeSync(file);
  }
}

function checkPages(db: DatabaseSync): Inspection | null {
  const [first] = db.prepare('PRAGMA quick_check').all();
  const verdict = String(first?.quick_check);
  return verdict === 'ok' ? null : { fault: `is damaged: ${verdict}` };
}

function recognise(db: DatabaseSync): Inspection {
  if (columnsOf(db, 'kysely_migration').has('name')) return { kind: 'v2' };
  const isVersion1 =
    columnsOf(db, 'conversations').has('message_count') && columnsOf(db, 'messages').has('conversation_id');
  if (isVersion1) return { kind: 'v1' };
  return { fault: 'is a SQLite database, but not one that PicoClaw wrote' };
}

function columnsOf(db: DatabaseSync, table: string): Set<string> {
  const rows = db.prepare('select name from pragma_table_info(?)').all(table);
  return new Set(rows.map((row) => String(row.name)));
}
