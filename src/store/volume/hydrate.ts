/**
 * Volume → runtime database, before anything has opened that.
 *
 * - What lies at the local path is from an earlier life of this machine and is removed, its WAL first of all: SQLite would
 *   replay that into the file it finds there, whichever that is.
 * - The volume's file is copied, checked, and only then put in place. One that is damaged is refused by name: starting
 *   empty beside it would overwrite it with the first sync.
 */

import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { codeOf } from '../../lib/error-code.ts';
import { messageOf } from './files.ts';
import { inspectDatabase } from './inspect.ts';
import { databasePath, isTemporary } from './layout.ts';

export type Hydrated = { found: 'none' | 'v1' | 'v2'; bytes: number };

export async function hydrateDatabase(input: { storeDir: string; localDbPath: string }): Promise<Hydrated> {
  const source = databasePath(input.storeDir);
  if (resolve(source) === resolve(input.localDbPath)) {
    throw new Error(`LOCAL_DB_PATH is ${source}, the durable copy itself; set it to a path on local disk`);
  }
  await removeLeftovers(input.storeDir);
  await mkdir(dirname(input.localDbPath), { recursive: true });
  await removeDatabase(input.localDbPath);
  const bytes = await sizeOf(source);
  if (bytes === null) return { found: 'none', bytes: 0 };
  if (bytes === 0) throw refusal(source, 'is damaged: it is empty (0 bytes), as a copy that was cut short leaves it');
  await foldJournals(source);
  const copy = `${input.localDbPath}.hydrate`;
  await removeDatabase(copy);
  await copyFile(source, copy);
  const inspection = inspectDatabase(copy);
  switch (inspection.kind) {
    case 'v1':
    case 'v2':
      switchToWal(copy);
      await rename(copy, input.localDbPath);
      await removeDatabase(copy);
      return { found: inspection.kind, bytes };
    case 'damaged':
    case 'foreign':
      await removeDatabase(copy);
      throw refusal(source, inspection.kind === 'damaged' ? `is damaged: ${inspection.fault}` : inspection.fault);
    default:
      return inspection satisfies never;
  }
}

async function removeLeftovers(storeDir: string): Promise<void> {
  const names = await readdir(storeDir).catch((error: unknown) => {
    throw new Error(`STORE_DIR ${storeDir} cannot be read (${messageOf(error)}); create it or mount the volume there`, {
      cause: error,
    });
  });
  for (const name of names.filter(isTemporary)) await rm(join(storeDir, name), { force: true, recursive: true });
}

async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ['-wal', '-shm', '-journal', '']) await rm(`${path}${suffix}`, { force: true });
}

async function sizeOf(path: string): Promise<number | null> {
  try {
    const found = await stat(path);
    if (!found.isFile()) throw refusal(path, 'is not a file');
    return found.size;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/**
 * A WAL or journal beside the volume's database was left by a `sqlite3` that was killed, and is part of it. SQLite folds it
 * in where it lies: copied without it the database would be stale or torn, and left there it would be replayed into the next copy.
 */
async function foldJournals(path: string): Promise<void> {
  const sizes = await Promise.all([sizeOf(`${path}-wal`), sizeOf(`${path}-journal`)]);
  if (sizes.every((size) => size === null)) return;
  try {
    const db = new DatabaseSync(path);
    try {
      db.exec('PRAGMA schema_version; PRAGMA journal_mode = DELETE');
    } finally {
      db.close();
    }
  } catch (error) {
    throw refusal(path, `has a journal of another program beside it that cannot be folded in: ${messageOf(error)}`);
  }
  if ((await sizeOf(`${path}-wal`)) !== null) {
    throw refusal(path, 'is open in another program (a -wal file lies beside it); close that program first');
  }
}

/** As the store keeps it, so that opening the store writes nothing and a first sync without changes can be seen to be one. */
function switchToWal(path: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA journal_mode = WAL');
  } finally {
    db.close();
  }
}

function refusal(path: string, fault: string): Error {
  return new Error(
    `${path} ${fault}. PicoClaw does not start over it. Restore the file from a backup, or recover what is readable with ` +
      `\`sqlite3 ${path} .recover | sqlite3 recovered.db\`, or move it away to start empty.`,
  );
}
