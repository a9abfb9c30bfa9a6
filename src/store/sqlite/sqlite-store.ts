/**
 * Opens the runtime database on local disk and brings it to the current schema.
 *
 * Nobody else writes to the file while it is open; the volume reads it, and its log, as bytes.
 */

import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { makeStore } from '../queries/make-store.ts';
import type { Tables } from '../queries/tables.ts';
import type { Store } from '../store.ts';
import { NodeSqliteDialect } from './dialect.ts';
import { migrateToLatest } from './migrations.ts';

/**
 * Only a person's `sqlite3` can hold the lock, and the wait blocks the event loop: long enough for a statement typed by
 * hand, short enough for `/health`.
 */
const busyTimeoutMs = 1_000;

export type Database = {
  db: Kysely<Tables>;
  /** While `work` runs, nothing else uses the connection and no transaction is open. */
  exclusively<T>(work: (connection: DatabaseSync) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/** Rejects when the file is not a database, was written by a newer version, or cannot be migrated; it is then unchanged. */
export async function openDatabase(path: string): Promise<Database> {
  const connection = new DatabaseSync(path, { timeout: busyTimeoutMs });
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(connection) });
  try {
    configure(connection);
    await migrateToLatest(db);
    compact(connection);
  } catch (error) {
    connection.close();
    throw error;
  }
  return {
    db,
    exclusively: (work) => db.connection().execute(() => work(connection)),
    close: () => db.destroy(),
  };
}

/** The store over one file, until it is closed. */
export async function createSqliteStore(input: { path: string }): Promise<Store> {
  const { db, close } = await openDatabase(input.path);
  return makeStore({ db: () => db, explain: (error) => error, close });
}

function configure(connection: DatabaseSync): void {
  // Local disk is not the durable copy: what survives a power cut is on the volume, flushed. A killed process loses
  // nothing either way, since what it wrote is in the kernel's cache. First, because the two below write.
  connection.exec('PRAGMA synchronous = OFF');
  // Free pages leave the file at each commit: a snapshot and a start copy the whole file, and what was once large must not
  // make every later copy as large. It takes effect in a new file, and in another with its next VACUUM.
  // Set again, it would be written again.
  if (!shedsFreePages(connection)) connection.exec('PRAGMA auto_vacuum = FULL');
  // WAL, because what is committed is then what was appended to one file, which is how it reaches the volume. Folded in only
  // when all of it is there.
  connection.exec('PRAGMA journal_mode = WAL');
  connection.exec('PRAGMA wal_autocheckpoint = 0');
  connection.exec('PRAGMA foreign_keys = ON');
  // What is deleted leaves the file, and with the next snapshot the volume, instead of lingering in free pages.
  connection.exec('PRAGMA secure_delete = ON');
}

/** A database of 1.x is rebuilt once: without its old tables, and so that free pages leave it from now on. */
function compact(connection: DatabaseSync): void {
  if (!shedsFreePages(connection)) connection.exec('VACUUM');
}

function shedsFreePages(connection: DatabaseSync): boolean {
  return connection.prepare('PRAGMA auto_vacuum').get()?.auto_vacuum === 1;
}
