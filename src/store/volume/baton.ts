/**
 * The baton: the folder whose one entry names the generation in use, and so says whose volume it is.
 *
 *     <number>-<nonce>              whoever made this generation owns the volume
 *     <number>-<nonce>-s-<nonce>    sealed: the owner of the second nonce is taking over, nobody owns the volume
 *
 * - It changes by renames alone, each from a name that is never used again: of all that try, one succeeds, decided by the
 *   file system and no clock. A rename of an outdated name fails.
 * - Looking means listing the folder. Over NFS a look at the name itself may be answered from a cache for a minute; a listing
 *   is not. A listing that meets a rename may show no entry or two, and is read again.
 */

import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, isGone } from '../../lib/error-code.ts';
import { flushFolder } from './files.ts';
import { batonPath, firstGeneration, type Generation, nameOf, parseGeneration, temporaryPath } from './layout.ts';

export type Baton = {
  generation: Generation;
  /** Of the generation that will follow, once whoever sealed the baton has made it; null while the volume is owned. */
  sealedFor: string | null;
};

const rereadMs = 5;
const maxRereads = 200;

/** Null when there is no baton. Rejects when there is something else in its place. */
export async function readBaton(storeDir: string): Promise<Baton | null> {
  const path = batonPath(storeDir);
  for (let attempt = 0; ; attempt += 1) {
    const names = await list(path);
    if (names === null) return null;
    const [name, ...others] = names;
    if (name !== undefined && others.length === 0) {
      const baton = parseBaton(name);
      if (baton === null) throw new Error(`${path} holds ${name}, which PicoClaw did not put there; remove it`);
      return baton;
    }
    if (attempt === maxRereads)
      throw new Error(
        `${path} holds ${name === undefined ? 'nothing' : `${names.join(' and ')}`}, and must hold the name of one generation; ` +
          'see docs/guarantees.md, "The baton is damaged"',
      );
    await sleep(rereadMs);
  }
}

/** In one step and only where there is none. */
export async function createBaton(storeDir: string): Promise<void> {
  const temporary = temporaryPath(storeDir);
  await mkdir(temporary);
  try {
    await (await open(join(temporary, nameOf(firstGeneration())), 'wx')).close();
    await flushFolder(temporary);
    await rename(temporary, batonPath(storeDir));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    // Another instance has made it meanwhile, and may have cleared up already.
    if (codeOf(error) !== 'ENOTEMPTY' && codeOf(error) !== 'EEXIST' && !isGone(error)) throw error;
  }
  await flushFolder(storeDir);
}

/** False when the baton is not `from` any more. What `true` says can still be undone by a power cut until it is flushed. */
export async function passBaton(storeDir: string, from: Baton, to: Baton): Promise<boolean> {
  const path = batonPath(storeDir);
  try {
    await rename(join(path, formatBaton(from)), join(path, formatBaton(to)));
    return true;
  } catch (error) {
    // A file server may have done what its answer, lost on the way, would have said; and an error says nothing at all.
    const now = await readBaton(storeDir);
    if (now !== null && hasPassed(now, to)) return true;
    if (isGone(error)) return false;
    throw error;
  }
}

export function flushBaton(storeDir: string): Promise<void> {
  return flushFolder(batonPath(storeDir));
}

export function isSameBaton(one: Baton, other: Baton): boolean {
  return formatBaton(one) === formatBaton(other);
}

/** Or somebody has sealed over it already: whoever holds it learns that from its next look. */
function hasPassed(now: Baton, to: Baton): boolean {
  return isSameBaton(now, to) || (to.sealedFor === null && nameOf(now.generation) === nameOf(to.generation));
}

function formatBaton({ generation, sealedFor }: Baton): string {
  return sealedFor === null ? nameOf(generation) : `${nameOf(generation)}-s-${sealedFor}`;
}

function parseBaton(name: string): Baton | null {
  const [owned = '', sealedFor, ...rest] = name.split('-s-');
  const generation = parseGeneration(owned);
  if (generation === null || rest.length > 0) return null;
  if (sealedFor !== undefined && parseGeneration(`1-${sealedFor}`) === null) return null;
  return { generation, sealedFor: sealedFor ?? null };
}

async function list(path: string): Promise<string[] | null> {
  try {
    // What NFS calls a file that was removed while it was open.
    return (await readdir(path)).filter((name) => !name.startsWith('.nfs'));
  } catch (error) {
    if (isGone(error)) return null;
    throw error;
  }
}
