/**
 * Volume → local disk: one file that SQLite opens, with everything in it and no log beside it.
 *
 * - A base that differs from its digest, or a log that ends before what was flushed, is damage; it is told, and what can be
 *   read whole is kept. A database that is not whole is never the result, and neither is an empty one.
 * - What lies at the local path is from an earlier life of this machine. It is removed, not written over: another server
 *   that was given the same path keeps its file.
 */

import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ifMissing, isGone } from '../../lib/error-code.ts';
import { isFull, LocalDiskFull } from './fault.ts';
import { copyBytes } from './files.ts';
import { inspectDatabase, type Kind } from './inspect.ts';
import { basePath, digestPath, journalSuffixes, walPath } from './layout.ts';
import { readLease } from './lease.ts';
import { WalReader } from './wal-reader.ts';
import type { WalEnd } from './wal-writer.ts';

/** For the server's user alone: the folder is often /tmp. SQLite gives what it keeps beside a database the mode of that. */
const localMode = 0o600;

/** The database, its log, and what SQLite keeps beside them. */
const suffixes = ['-wal', '-shm', '-journal', ''];

export class Damaged extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Damaged';
  }
}

/** Before SQLite makes it, for everybody to read. One that is there stays as it is. */
export async function makeLocal(localDbPath: string): Promise<void> {
  await (await open(localDbPath, 'a', localMode)).close();
}

export type Fetched = {
  bytes: number;
  /** Where the generation's log ends, as far as it is valid; null for an empty one. */
  walEnd: WalEnd | null;
  isBaseAsWritten: boolean;
  /** What of the log is missing though it was flushed, in words; null when nothing is. */
  lost: string | null;
};

export async function clearLocal(localDbPath: string): Promise<void> {
  await mkdir(dirname(localDbPath), { recursive: true });
  for (const suffix of suffixes) await rm(`${localDbPath}${suffix}`, { force: true });
}

/**
 * The base and, beside it, the log as far as it is valid: for `foldIn`. Each is read once, whatever becomes of it meanwhile.
 * Rejects with `Damaged` when either is not there.
 */
export async function fetchGeneration(folder: string, localDbPath: string): Promise<Fetched> {
  await clearLocal(localDbPath);
  const base = await copyBase(folder, localDbPath);
  // Before the log: whoever is still at work in the folder appends first and then says so.
  const flushed = (await readLease(folder))?.flushed ?? 0;
  const log = await copyLog(folder, localLogPath(localDbPath));
  const valid = log.walEnd?.offset ?? 0;
  const lost =
    valid < flushed
      ? `${walPath(folder)} is damaged: ${valid} bytes of it are valid, and ${flushed} were written`
      : null;
  return { bytes: base.bytes + log.bytes, walEnd: log.walEnd, isBaseAsWritten: base.isAsWritten, lost };
}

/**
 * Makes what was fetched one file. Returns what was found wrong, in words, and could be left out; null when nothing was.
 * Throws `Damaged` when it is no whole database.
 */
export function foldIn(folder: string, localDbPath: string, { isBaseAsWritten, lost }: Fetched): string | null {
  if (isBaseAsWritten) {
    foldLog(localDbPath);
    return lost;
  }
  requireWhole(localDbPath, basePath(folder));
  const changed = `${basePath(folder)} is not as PicoClaw wrote it, but whole`;
  return lost === null ? changed : `${changed}; ${lost}`;
}

/** Where `fetchGeneration` puts the log. */
export function localLogPath(localDbPath: string): string {
  return `${localDbPath}-wal`;
}

/** The single file of an earlier version. Null when there is none; rejects with `Damaged`. */
export async function hydrateFlat(source: string, localDbPath: string): Promise<{ kind: Kind; bytes: number } | null> {
  await clearLocal(localDbPath);
  const bytes = await copyFile(source, localDbPath).catch(ifMissing(null));
  if (bytes === null) return null;
  if (bytes === 0)
    throw new Damaged(`${source} is damaged: it is empty (0 bytes), as a copy that was cut short leaves it`);
  // A sqlite3 that was killed leaves a part of the database there.
  for (const suffix of journalSuffixes)
    await copyFile(`${source}${suffix}`, `${localDbPath}${suffix}`).catch(ifMissing(null));
  return { kind: requireWhole(localDbPath, source), bytes };
}

async function copyBase(folder: string, target: string): Promise<{ bytes: number; isAsWritten: boolean }> {
  const path = basePath(folder);
  const digest = createHash('sha256');
  const bytes = await copyFile(path, target, (chunk) => digest.update(chunk)).catch((error: unknown) => {
    if (isGone(error)) throw new Damaged(`${path} is not there`);
    throw error;
  });
  const written = await readFile(digestPath(folder), 'utf8').catch(ifMissing(''));
  return { bytes, isAsWritten: written.startsWith(digest.digest('hex')) };
}

/** Only what is valid: the tail of an append that was cut off is left out. Found on the copy, which nobody else writes to. */
async function copyLog(folder: string, target: string): Promise<{ bytes: number; walEnd: WalEnd | null }> {
  const bytes = await copyFile(walPath(folder), target).catch((error: unknown) => {
    if (isGone(error)) throw new Damaged(`${walPath(folder)} is not there`);
    throw error;
  });
  await using copy = await open(target, 'r+');
  const stretch = await new WalReader(copy).look();
  await copy.truncate(stretch?.to ?? 0);
  if (stretch === null) return { bytes, walEnd: null };
  const { header, to: offset, checksum } = stretch;
  return { bytes, walEnd: { header, offset, checksum } };
}

async function copyFile(source: string, target: string, onChunk?: (chunk: Buffer) => void): Promise<number> {
  await using from = await open(source, 'r');
  await using to = await open(target, 'wx', localMode);
  // Awaited here: the handles are closed when this function is left.
  return await copyBytes(from, to, onChunk).catch((error: unknown) => {
    // Of the two only the local disk is written to.
    throw isFull(error) ? new LocalDiskFull(target, error) : error;
  });
}

/** As `inspectDatabase`, which folds the log in. */
function requireWhole(localDbPath: string, source: string): Kind {
  const inspection = inspectDatabase(localDbPath);
  if ('fault' in inspection) throw new Damaged(`${source} ${inspection.fault}`);
  foldLog(localDbPath);
  return inspection.kind;
}

/** By opening and closing it: SQLite replays the log and takes it away. */
function foldLog(localDbPath: string): void {
  const db = new DatabaseSync(localDbPath);
  try {
    // The copy can be made again.
    db.exec('PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    throw isFull(error) ? new LocalDiskFull(localDbPath, error) : error;
  } finally {
    db.close();
  }
}
