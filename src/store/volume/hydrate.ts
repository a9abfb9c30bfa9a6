/**
 * Volume → local disk: one file that SQLite opens, with everything in it and no log beside it.
 *
 * - A base that differs from its digest, or a log that ends before what was flushed, is damage; it is told, and what can be
 *   read whole is kept. A database that is not whole is never the result, and neither is an empty one.
 * - What lies at the local path is from an earlier life of this machine. It is removed, not written over: another server
 *   that was given the same path keeps its file.
 */

import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readFile, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ifMissing, isGone } from '../../lib/error-code.ts';
import { inspectDatabase, type Kind } from './inspect.ts';
import { basePath, digestPath, walPath } from './layout.ts';
import { readLease } from './lease.ts';
import { WalReader } from './wal-reader.ts';
import type { WalEnd } from './wal-writer.ts';

/** The database, its log, and what SQLite keeps beside them. */
const suffixes = ['-wal', '-shm', '-journal', ''];
const chunkBytes = 1024 * 1024;

export class Damaged extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Damaged';
  }
}

export type Hydrated = {
  bytes: number;
  /** Where the generation's log ends, as far as it is valid; null for an empty one. */
  walEnd: WalEnd | null;
  /** What was found wrong, in words, and could be left out; null when nothing was. */
  damage: string | null;
};

export async function clearLocal(localDbPath: string): Promise<void> {
  await mkdir(dirname(localDbPath), { recursive: true });
  for (const suffix of suffixes) await rm(`${localDbPath}${suffix}`, { force: true });
}

/** The generation in `folder`, whose owner is sealed off. Rejects with `Damaged` when it holds no whole database. */
export async function hydrateGeneration(folder: string, localDbPath: string): Promise<Hydrated> {
  refuseSamePath(basePath(folder), localDbPath);
  await clearLocal(localDbPath);
  const base = await copyBase(folder, localDbPath);
  // Before the log: whoever is still at work in the folder appends first and then says so.
  const lease = await readLease(folder);
  const log = await copyLog(folder, `${localDbPath}-wal`);
  const isShort = log.walEnd === null ? (lease?.flushed ?? 0) > 0 : log.walEnd.offset < (lease?.flushed ?? 0);
  const lost = isShort
    ? `${walPath(folder)} is damaged: ${log.walEnd?.offset ?? 0} bytes of it are valid, and ${lease?.flushed} were written`
    : null;
  if (base.isAsWritten) foldLog(localDbPath);
  else requireWhole(localDbPath, basePath(folder));
  const changed = base.isAsWritten ? null : `${basePath(folder)} is not as PicoClaw wrote it, but whole`;
  const damage = [changed, lost].filter((text) => text !== null).join('; ');
  return { bytes: base.bytes + log.bytes, walEnd: log.walEnd, damage: damage === '' ? null : damage };
}

/** The single file of an earlier version. Null when there is none; rejects with `Damaged`. */
export async function hydrateFlat(source: string, localDbPath: string): Promise<{ kind: Kind; bytes: number } | null> {
  refuseSamePath(source, localDbPath);
  await clearLocal(localDbPath);
  const bytes = await copyFile(source, localDbPath).catch(ifMissing(null));
  if (bytes === null) return null;
  if (bytes === 0)
    throw new Damaged(`${source} is damaged: it is empty (0 bytes), as a copy that was cut short leaves it`);
  // A sqlite3 that was killed leaves a part of the database there.
  for (const suffix of ['-wal', '-journal'])
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

/** Only what is valid: the tail of an append that was cut off is left out. */
async function copyLog(folder: string, target: string): Promise<{ bytes: number; walEnd: WalEnd | null }> {
  let file: FileHandle;
  try {
    file = await open(walPath(folder), 'r');
  } catch (error) {
    if (isGone(error)) throw new Damaged(`${walPath(folder)} is not there`);
    throw error;
  }
  try {
    const stretch = await new WalReader(file).look();
    if (stretch === null) return { bytes: 0, walEnd: null };
    const { header, to: offset, checksum } = stretch;
    await using copy = await open(target, 'wx');
    await copyBytes(file, copy, offset);
    return { bytes: offset, walEnd: { header, offset, checksum } };
  } finally {
    await file.close();
  }
}

async function copyFile(source: string, target: string, onChunk?: (chunk: Buffer) => void): Promise<number> {
  await using from = await open(source, 'r');
  await using to = await open(target, 'wx');
  // Awaited here: the handles are closed when this function is left.
  return await copyBytes(from, to, Number.POSITIVE_INFINITY, onChunk);
}

/** A piece at a time, so that the event loop goes on. Returns how many bytes there were. */
export async function copyBytes(
  from: FileHandle,
  to: FileHandle,
  bytes: number,
  onChunk?: (chunk: Buffer) => void | Promise<void>,
): Promise<number> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let copied = 0;
  while (copied < bytes) {
    const { bytesRead } = await from.read(buffer, 0, Math.min(chunkBytes, bytes - copied), copied);
    if (bytesRead === 0) break;
    const chunk = buffer.subarray(0, bytesRead);
    await to.writev([chunk], copied);
    copied += bytesRead;
    await onChunk?.(chunk);
  }
  return copied;
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
  } finally {
    db.close();
  }
}

function refuseSamePath(source: string, localDbPath: string): void {
  if (resolve(source) === resolve(localDbPath))
    throw new Error(`LOCAL_DB_PATH is ${source}, the durable copy itself; set it to a path on local disk`);
}
