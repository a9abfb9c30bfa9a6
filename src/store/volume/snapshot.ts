/**
 * Runtime database → one whole, flushed file on the volume, in the place of the one before.
 *
 * - The copy is made by SQLite's backup, in one step, so it is one committed state however much is written meanwhile.
 * - The target changes by a rename at the very end: a reader, a crash or a full disk finds the old file or the new one.
 * - The rename is flushed too before this resolves.
 */

import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { backup, type DatabaseSync } from 'node:sqlite';
import { flushFolder } from './files.ts';

/** All pages at once: between steps a commit would make the backup start over, and a busy server would never finish one. */
const allPages = 2 ** 31 - 1;

/**
 * Offset and content of the two header bytes that say WAL (2) or rollback journal (1), SQLite file format §1.3. With 1 a
 * person's `sqlite3` leaves no `-wal` beside the file, which would be replayed into the next one.
 */
const journalModeOffset = 18;
const rollbackJournal = Uint8Array.of(1, 1);

/** `source` is read-only and not the connection that writes, whose open transaction would be copied. It is not usable until this ends. */
export async function writeSnapshot(input: {
  source: DatabaseSync;
  temporary: string;
  target: string;
  /** When the copy is flushed and the old target is about to go. */
  beforeReplace: () => Promise<void>;
}): Promise<void> {
  const { source, temporary, target } = input;
  try {
    await backup(source, temporary, { rate: allPages });
    await finishCopy(temporary);
    await input.beforeReplace();
    await rename(temporary, target);
    await flushFolder(dirname(target));
  } catch (error) {
    await discard(temporary);
    throw error;
  }
}

async function finishCopy(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.write(rollbackJournal, 0, rollbackJournal.length, journalModeOffset);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** What cannot be removed now is removed by the next hydration; the error that led here is the one to report. */
async function discard(path: string): Promise<void> {
  for (const suffix of ['-journal', '']) await rm(`${path}${suffix}`, { force: true }).catch(() => undefined);
}
