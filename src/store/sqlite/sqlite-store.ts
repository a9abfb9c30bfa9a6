/**
 * Opens the runtime database on local disk and brings it to the current schema.
 *
 * Nobody else writes to the file while it is open; the volume reads it through a connection of its own.
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

/** Rejects when the file is not a database, was written by a newer version, or cannot be migrated; it is then unchanged. */
export async function createSqliteStore(input: { path: string }): Promise<Store> {
  const connection = new DatabaseSync(input.path, { timeout: busyTimeoutMs });
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(connection) });
  try {
    configure(connection);
    await migrateToLatest(db);
    compact(connection);
  } catch (error) {
    connection.close();
    throw error;
  }
  return makeStore(db);
}

function configure(connection: DatabaseSync): void {
  // WAL, because the volume's reader copies a snapshot while requests go on writing.
  connection.exec('PRAGMA journal_mode = WAL');
  connection.exec('PRAGMA foreign_keys = ON');
  // Local disk is not the durable copy: what survives a power cut is on the volume, flushed. A killed process loses
  // nothing either way, since what it wrote is in the kernel's cache.
  connection.exec('PRAGMA synchronous = OFF');
  // What is deleted leaves the file, and with the next sync the volume, instead of lingering in free pages.
  connection.exec('PRAGMA secure_delete = ON');
}

/** Every sync copies the whole file. When much of it is free pages (a takeover from 1.x, a great deletion), it is rebuilt. */
function compact(connection: DatabaseSync): void {
  const pages = connection.prepare('PRAGMA page_count').get()?.page_count;
  const free = connection.prepare('PRAGMA freelist_count').get()?.freelist_count;
  if (Number(free) * 4 > Number(pages)) connection.exec('VACUUM');
}
