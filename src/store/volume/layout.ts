/**
 * The names of what lies in STORE_DIR.
 *
 *     baton/<number>-<nonce>                         the one entry: the generation in use (baton.ts)
 *     <number>-<nonce>/messages.db                   its base: the whole database, never changed
 *     <number>-<nonce>/messages.db.sha256            of the base, as `sha256sum` writes it
 *     <number>-<nonce>/wal                           what was committed since, appended
 *     <number>-<nonce>/messages.db-wal               the same file, by the name that sqlite3 looks for
 *     <number>-<nonce>/lease                         who works on it, for whoever waits (lease.ts)
 *     messages.db                                    a link to the base in use, for people; of 1.x, the database itself
 *     messages.v1.db                                 the database of PicoClaw 1.x, as it was
 *     damaged-<number>-<nonce>/                      a generation that could not be read whole
 *
 * A nonce makes a name that nobody else has had or will have; a number only grows.
 */

import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

export type Generation = { number: number; nonce: string };

const databaseName = 'messages.db';

/** What comes before the first generation: an empty volume, or one with a single file of an earlier version. It has no folder. */
export function firstGeneration(): Generation {
  return { number: 0, nonce: makeNonce() };
}

export function generationAfter({ number }: Generation): Generation {
  return { number: number + 1, nonce: makeNonce() };
}

export function nameOf({ number, nonce }: Generation): string {
  return `${number}-${nonce}`;
}

/** Null for a name that is not a generation's. */
export function parseGeneration(name: string): Generation | null {
  const [, number, nonce] = /^(0|[1-9]\d{0,14})-([0-9a-f]{16})$/.exec(name) ?? [];
  return number === undefined || nonce === undefined ? null : { number: Number(number), nonce };
}

export function batonPath(storeDir: string): string {
  return join(storeDir, 'baton');
}

/** The link for people; before the first generation, the database itself. */
export function flatPath(storeDir: string): string {
  return join(storeDir, databaseName);
}

/** What SQLite keeps beside a database: after a kill, a part of its content. */
export const journalSuffixes = ['-wal', '-journal'];

/** The database of PicoClaw 1.x, as it was before this version took it over. */
export function version1Path(storeDir: string): string {
  return join(storeDir, 'messages.v1.db');
}

export function folderPath(storeDir: string, generation: Generation): string {
  return join(storeDir, nameOf(generation));
}

/** In STORE_DIR, so that it goes with the volume wherever that is mounted. */
export function linkTarget(generation: Generation): string {
  return join(nameOf(generation), databaseName);
}

export function damagedPath(storeDir: string, generation: Generation): string {
  return join(storeDir, `damaged-${nameOf(generation)}`);
}

export function basePath(folder: string): string {
  return join(folder, databaseName);
}

export function walPath(folder: string): string {
  return join(folder, 'wal');
}

/** A person's sqlite3 that may write takes this name away when it ends; the log stays. */
export function walNamePath(folder: string): string {
  return `${basePath(folder)}-wal`;
}

export function digestPath(folder: string): string {
  return `${basePath(folder)}.sha256`;
}

export function leasePath(folder: string): string {
  return join(folder, 'lease');
}

const temporaryPrefix = 'messages.db.sync-';

/** Never the same twice: two instances that overlap do not write into one file. */
export function temporaryPath(storeDir: string): string {
  return join(storeDir, `${temporaryPrefix}${makeNonce()}`);
}

/** The file itself, or a journal that SQLite made beside it. */
export function isTemporary(name: string): boolean {
  return name.startsWith(temporaryPrefix);
}

export function makeNonce(): string {
  return randomBytes(8).toString('hex');
}
