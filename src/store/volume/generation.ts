/**
 * Makes the folder of a generation, and removes those that nobody can use again.
 *
 * - A folder is whole and flushed before the baton is passed to it; until then nobody reads it.
 * - A generation that follows by a takeover shares the base of the one before (a hard link: it never changes). Its log is what
 *   was copied to local disk: the owner before may still write to its own, and cut it.
 * - Only numbers up to one's own are removed, never one's own folder: a number below can never be passed to again, and
 *   neither can another of the same number. What is above may be the next owner's.
 */

import { createHash } from 'node:crypto';
import { copyFile, type FileHandle, link, lstat, mkdir, open, readdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, ifMissing, isGone } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { readBaton } from './baton.ts';
import { copyBytes, flushFolder, writeFlushed } from './files.ts';
import {
  basePath,
  damagedPath,
  digestPath,
  flatPath,
  folderPath,
  type Generation,
  isTemporary,
  linkTarget,
  nameOf,
  parseGeneration,
  temporaryPath,
  version1Path,
  walNamePath,
  walPath,
} from './layout.ts';

/** Nobody who may not write opens it for writing by mistake: a person's sqlite3 would fold the log into it when it ends. */
const baseMode = 0o444;

/**
 * So that the pages of a large base do not pile up in front of the flush of a small answer, nor until the kernel makes whoever
 * writes next wait for them: that may be the event loop, in SQLite.
 */
const flushEveryBytes = 8 * 1024 * 1024;

/** The next generation after a takeover: the same base, and a log that was copied to `log` as far as it is valid. */
export async function makeSuccessor(
  storeDir: string,
  { from, to, log }: { from: Generation; to: Generation; log: string },
): Promise<void> {
  const [source, target] = [folderPath(storeDir, from), folderPath(storeDir, to)];
  await linkOrCopy(basePath(source), basePath(target));
  await linkOrCopy(digestPath(source), digestPath(target));
  {
    await using valid = await open(log, 'r');
    await using copy = await open(walPath(target), 'wx');
    await copyBytes(valid, copy);
    await copy.datasync();
  }
  await nameForPeople(target);
  await flushFolder(target);
}

/** A generation with this database for its base and an empty log. `database` must hold everything, and is only read. */
export async function makeFromDatabase(
  storeDir: string,
  { database, to, signal }: { database: FileHandle; to: Generation; signal: AbortSignal },
): Promise<void> {
  const folder = folderPath(storeDir, to);
  const digest = createHash('sha256');
  let unflushed = 0;
  {
    await using base = await open(basePath(folder), 'wx', baseMode);
    await copyBytes(database, base, async (chunk) => {
      signal.throwIfAborted();
      digest.update(chunk);
      unflushed += chunk.length;
      if (unflushed < flushEveryBytes) return;
      unflushed = 0;
      await base.datasync();
    });
    await base.sync();
  }
  await writeFlushed(digestPath(folder), `${digest.digest('hex')}  messages.db\n`);
  await writeFlushed(walPath(folder), '');
  await nameForPeople(folder);
  await flushFolder(folder);
}

/** Empty, and itself on the volume. */
export async function makeFolder(storeDir: string, generation: Generation): Promise<string> {
  const folder = folderPath(storeDir, generation);
  await mkdir(folder);
  await flushFolder(storeDir);
  return folder;
}

/** Never rejects: it was of no use. */
export async function discard(storeDir: string, generation: Generation): Promise<void> {
  await rm(folderPath(storeDir, generation), { recursive: true, force: true }).catch(() => undefined);
}

/** Puts a generation aside that was damaged, for a person to look at. Never rejects: the one in use does not need it. */
export async function keepDamaged(
  storeDir: string,
  { generation, fault, log }: { generation: Generation; fault: string | null; log: Log },
): Promise<void> {
  const kept = damagedPath(storeDir, generation);
  try {
    await rename(folderPath(storeDir, generation), kept);
    log.error({ kept, fault }, 'the volume is damaged; what could be read whole is in use, and the rest is kept');
  } catch (error) {
    if (!isGone(error)) log.error({ kept, err: error }, 'a damaged generation could not be put aside');
  }
}

/** Every folder of a generation, the latest first. */
export async function listGenerations(storeDir: string): Promise<Generation[]> {
  const found = (await readdir(storeDir)).map(parseGeneration).filter((generation) => generation !== null);
  return found.sort((one, other) => other.number - one.number);
}

/** What was left behind, once the baton is known to be `current`, flushed. Never rejects: what stays is removed another time. */
export async function removeOutdated(storeDir: string, current: Generation, log: Log): Promise<void> {
  try {
    for (const generation of await listGenerations(storeDir)) {
      if (generation.number > current.number || nameOf(generation) === nameOf(current)) continue;
      await rm(folderPath(storeDir, generation), { recursive: true, force: true });
    }
    for (const name of await readdir(storeDir)) {
      if (isTemporary(name)) await rm(join(storeDir, name), { recursive: true, force: true });
    }
  } catch (error) {
    log.warn({ err: error }, 'what is outdated on the volume could not be removed; it only takes space');
  }
}

/**
 * Points `messages.db` at the base in use, for people. A file that somebody put there is left alone, and told of. Never rejects.
 *
 * `mayReplaceFile`: the file there is the one that the first generation was made from.
 */
export async function linkForPeople(
  storeDir: string,
  { mayReplaceFile, log }: { mayReplaceFile: boolean; log: Log },
): Promise<void> {
  const path = flatPath(storeDir);
  const temporary = temporaryPath(storeDir);
  try {
    if (!mayReplaceFile && (await isFileOfItsOwn(storeDir))) {
      log.warn(
        { path },
        'this file is not the database in use, which is in the folder that baton/ names; move it away',
      );
      return;
    }
    // Looked at again: whoever took over meanwhile may have made its link before this one.
    for (let linked: string | null = null; ; ) {
      const baton = await readBaton(storeDir);
      if (baton === null || nameOf(baton.generation) === linked) return;
      await symlink(linkTarget(baton.generation), temporary);
      // Whoever took over meanwhile may have cleared it away.
      const isMade = await rename(temporary, path).then(() => true, ifMissing(false));
      if (isMade) linked = nameOf(baton.generation);
      await flushFolder(storeDir);
    }
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    log.warn({ path, err: error }, 'the link to the database, for people, could not be made');
  }
}

/** Not a link, and not the file of 1.x that has its own name by now. */
async function isFileOfItsOwn(storeDir: string): Promise<boolean> {
  const found = await lstat(flatPath(storeDir)).catch(ifMissing(null));
  if (found === null || found.isSymbolicLink()) return false;
  const kept = await lstat(version1Path(storeDir)).catch(ifMissing(null));
  return kept === null || kept.ino !== found.ino || kept.dev !== found.dev;
}

/** A second name for the log, by which sqlite3 finds it. Without links, people see the base alone. */
async function nameForPeople(folder: string): Promise<void> {
  await link(walPath(folder), walNamePath(folder)).catch((error: unknown) => {
    if (!withoutLinks.includes(codeOf(error) ?? '')) throw error;
  });
}

const withoutLinks = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV', 'EMLINK'];

/** A link costs nothing at any size; not every file system has them. */
async function linkOrCopy(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (!withoutLinks.includes(codeOf(error) ?? '')) throw error;
    await copyFile(source, target);
    await using copy = await open(target, 'r');
    await copy.sync();
  }
}
