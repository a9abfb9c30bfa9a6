/**
 * Makes this instance the owner of the volume, with everything that was acknowledged on its local disk.
 *
 *     wait while another is at work → seal the baton → copy to local disk → make the next generation → pass the baton to it
 *
 * - From the seal on, whoever owned the volume is answered "no longer" when it looks after its next flush; what it had
 *   flushed before that look is read here.
 * - A takeover that dies leaves a sealed baton, which another may seal over, and nothing else changed.
 * - What the owner before is still doing to its own folder does not matter: each of its files is read once.
 * - Nothing of the generation before is removed until the baton is passed and flushed.
 */

import { open } from 'node:fs/promises';
import { dirname, relative, resolve } from 'node:path';
import type { Log } from '../../lib/log.ts';
import { type Baton, createBaton, flushBaton, isSameBaton, passBaton, readBaton } from './baton.ts';
import {
  discard,
  keepDamaged,
  linkForPeople,
  listGenerations,
  makeFolder,
  makeFromDatabase,
  makeSuccessor,
  removeOutdated,
} from './generation.ts';
import { Damaged, fetchGeneration, foldIn, hydrateFlat, localLogPath, makeLocal } from './hydrate.ts';
import type { Instance } from './instance.ts';
import { keepVersion1 } from './keep-version1.ts';
import { flatPath, folderPath, type Generation, generationAfter, nameOf } from './layout.ts';
import { findHolder, LeaseFile, readLease } from './lease.ts';
import { realPathOf } from './mount.ts';
import type { WalEnd } from './wal-writer.ts';

export type TakeOverInput = {
  storeDir: string;
  localDbPath: string;
  self: Instance;
  log: Log;
  /** Makes a database of the current schema at the path: from the one of 1.x that is there, or from nothing. */
  createDatabase: (path: string) => Promise<void>;
  /** The highest number that this instance has known: a volume that holds less is not the one that it was. */
  known: number;
  /** After this much silence an instance at work is taken for dead or frozen. */
  patienceMs: number;
};

export type TakenOver = {
  generation: Generation;
  walEnd: WalEnd | null;
  lease: LeaseFile;
  /** `none`: an empty volume. `v1`: a database of PicoClaw 1.x, now kept as `messages.v1.db`. */
  found: 'none' | 'v1' | 'v2';
  bytes: number;
  /** What of the volume was damaged and is left out, in words; null when all of it was whole. */
  damage: string | null;
};

/** `owned_elsewhere`: another instance is at work. `outrun`: another was faster; look again. */
export type TakeOverOutcome =
  | ({ kind: 'taken' } & TakenOver)
  | { kind: 'owned_elsewhere'; owner: Instance }
  | { kind: 'outrun' };

/** One attempt, without waiting. Rejects when the volume cannot be read or written, or holds nothing that is whole. */
export async function takeOver(input: TakeOverInput): Promise<TakeOverOutcome> {
  const { storeDir, self, log } = input;
  await refuseLocalInside(input);
  const found = await findBaton(input);
  const owner = await findOwner(found, input);
  if (owner !== null) return { kind: 'owned_elsewhere', owner };

  const to = generationAfter(found.generation);
  const folder = await makeFolder(storeDir, to);
  // Whoever finds the baton sealed sees by this lease that the takeover goes on.
  const lease = new LeaseFile({ folder, owner: self, log });
  const sealed: Baton = { generation: found.generation, sealedFor: to.nonce };
  let isSealed = false;
  let mayBePassed = false;
  try {
    await lease.take();
    isSealed = await passBaton(storeDir, found, sealed);
    if (!isSealed) {
      await abandon(storeDir, to, lease);
      return { kind: 'outrun' };
    }
    const made = await makeNext(input, sealed, to);
    mayBePassed = true;
    if (!(await passBaton(storeDir, sealed, { generation: to, sealedFor: null }))) {
      await abandon(storeDir, to, lease);
      return { kind: 'outrun' };
    }
    await flushBaton(storeDir);
    const { damaged, ...rest } = made;
    for (const generation of damaged) await keepDamaged(storeDir, { generation, fault: made.damage, log });
    await linkForPeople(storeDir, { mayReplaceFile: found.generation.number === 0, log });
    await removeOutdated(storeDir, to, log);
    return { kind: 'taken', generation: to, lease, ...rest };
  } catch (error) {
    // An error says nothing of what a file server does in the end: the folder may be the one in use.
    if (mayBePassed) await lease.letGo();
    else await abandon(storeDir, to, lease);
    if (isSealed && !mayBePassed && (await isSealedOver(storeDir, sealed))) return { kind: 'outrun' };
    throw error;
  }
}

async function findBaton({ storeDir, known }: TakeOverInput): Promise<Baton> {
  const found = await readBaton(storeDir);
  if (known > (found?.generation.number ?? 0))
    throw new Error(
      `${storeDir} holds less than this server has seen there (generation ${known}); is the volume mounted? ` +
        'If it was restored from a backup on purpose, restart the server',
    );
  if (found !== null) return found;
  const generations = await listGenerations(storeDir);
  // Looked at again: another instance may be making the first of them.
  if (generations.length > 0 && (await readBaton(storeDir)) === null)
    throw new Damaged(
      `${storeDir} has ${generations.map(nameOf).join(', ')} but no folder baton, which says which of them is in use; ` +
        'see docs/guarantees.md, "The baton is damaged"',
    );
  await createBaton(storeDir);
  return (await readBaton(storeDir)) ?? Promise.reject(new Error(`${storeDir}/baton was removed`));
}

/** By an instance that took this one for dead: then what failed here failed because of it. */
async function isSealedOver(storeDir: string, sealed: Baton): Promise<boolean> {
  const now = await readBaton(storeDir).catch(() => null);
  return now !== null && !isSameBaton(now, sealed);
}

/** Whoever is at work: in the generation in use, or on taking it over. */
export async function findOwner(
  baton: Baton,
  { storeDir, self, patienceMs }: Pick<TakeOverInput, 'storeDir' | 'self'> & { patienceMs?: number },
): Promise<Instance | null> {
  const at =
    baton.sealedFor === null ? baton.generation : { number: baton.generation.number + 1, nonce: baton.sealedFor };
  return findHolder(await readLease(folderPath(storeDir, at)), {
    storeDir,
    self,
    ...(patienceMs === undefined ? {} : { patienceMs }),
  });
}

type Made = Pick<TakenOver, 'walEnd' | 'found' | 'bytes' | 'damage'> & {
  /** Those that were not whole. */
  damaged: Generation[];
};

/** Of the generation in use; where that is damaged beyond use, of the latest before it that is whole. */
async function makeNext(input: TakeOverInput, sealed: Baton, to: Generation): Promise<Made> {
  const from = sealed.generation;
  if (from.number === 0) return makeFirst(input, to);
  const { storeDir, localDbPath, log } = input;
  const older = (await listGenerations(storeDir)).filter(({ number }) => number < from.number);
  const damaged: Generation[] = [];
  const faults: string[] = [];
  for (const source of [from, ...older]) {
    try {
      const folder = folderPath(storeDir, source);
      const fetched = await fetchGeneration(folder, localDbPath);
      const { walEnd, bytes, isBaseAsWritten, lost } = fetched;
      const isWhole = isBaseAsWritten && lost === null;
      // While the log is still beside the base.
      if (isWhole) await makeSuccessor(storeDir, { from: source, to, log: localLogPath(localDbPath) });
      const damage = foldIn(folder, localDbPath, fetched);
      if (!isWhole) await makeFromLocal(input, to);
      if (damage !== null) {
        damaged.push(source);
        faults.push(damage);
      }
      return {
        walEnd: isWhole ? walEnd : null,
        bytes,
        found: 'v2',
        damaged,
        damage: faults.length === 0 ? null : faults.join('; '),
      };
    } catch (error) {
      // What another instance has taken over, and then removed, is not damaged.
      if (!(error instanceof Damaged) || (await isSealedOver(storeDir, sealed))) throw error;
      log.error({ err: error, generation: nameOf(source) }, 'a generation on the volume is damaged');
      damaged.push(source);
      faults.push(error.message);
    }
  }
  throw new Damaged(refusal(faults.join('; '), storeDir));
}

/** An empty volume, or one with a single file of an earlier version. */
async function makeFirst(input: TakeOverInput, to: Generation): Promise<Made> {
  const { storeDir, localDbPath, log, createDatabase } = input;
  const flat = flatPath(storeDir);
  const hydrated = await hydrateFlat(flat, localDbPath).catch((error: unknown) => {
    throw error instanceof Damaged ? new Damaged(refusal(error.message, storeDir)) : error;
  });
  await makeLocal(localDbPath);
  await createDatabase(localDbPath);
  if (hydrated?.kind === 'v1') await keepVersion1(storeDir, log);
  await makeFromLocal(input, to);
  return { walEnd: null, found: hydrated?.kind ?? 'none', bytes: hydrated?.bytes ?? 0, damage: null, damaged: [] };
}

/** Of what was put together on local disk, before anything has opened that. */
async function makeFromLocal({ storeDir, localDbPath }: TakeOverInput, to: Generation): Promise<void> {
  await using database = await open(localDbPath, 'r');
  await makeFromDatabase(storeDir, { database, to, signal: new AbortController().signal });
}

/** Whoever looks next need not wait. Never rejects. */
async function abandon(storeDir: string, to: Generation, lease: LeaseFile): Promise<void> {
  await lease.letGo();
  await discard(storeDir, to);
}

/** What lies at the local path is removed: there it would be the volume's own, whatever link leads to it. */
async function refuseLocalInside({ storeDir, localDbPath }: TakeOverInput): Promise<void> {
  const [volume, local] = await Promise.all([realPathOf(resolve(storeDir)), realPathOf(dirname(resolve(localDbPath)))]);
  if (!relative(volume, local).startsWith('..'))
    throw new Error(`LOCAL_DB_PATH is ${localDbPath}, inside STORE_DIR; set it to a path on local disk`);
}

function refusal(fault: string, storeDir: string): string {
  return (
    `${fault}. PicoClaw does not start over it. Restore ${storeDir} from a backup, read what can be read with sqlite3 ` +
    '(`.recover`, or `.dump`), or move it all away to start empty; see docs/guarantees.md, "A damaged database"'
  );
}
