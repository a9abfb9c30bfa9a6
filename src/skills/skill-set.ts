/**
 * The sets: how one is found, built, installed and removed.
 *
 * Invariants: a set is whole before the link leads to it, and the link is replaced by a rename, so that whoever opens
 * `.claude/skills` finds the old set or the new one. Nothing is flushed: after a power cut the start builds a new set.
 */

import { lstat, mkdir, readdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import pLimit from 'p-limit';
import { ifMissing } from '../lib/error-code.ts';
import { copyFolder } from './copy-folder.ts';
import { fingerprintOf } from './fingerprint.ts';
import { type Entry, type Manifest, readManifest, writeManifest } from './manifest.ts';
import {
  gonePath,
  idOfLinkText,
  isFoundId,
  linkTextOf,
  manifestPath,
  newFoundId,
  newSetId,
  nextLinkPath,
  type Place,
  setIdOf,
  setPath,
} from './place.ts';
import type { SkillWarning } from './skill.ts';
import { type Found, type FoundSkill, maxAtOnce } from './sources.ts';

/** What is in the place of the link; `foreign` is a link that is not ours. */
export type Current = { kind: 'none' | 'folder' } | { kind: 'set'; id: string } | { kind: 'foreign'; target: string };

export async function findCurrent(place: Place): Promise<Current> {
  const found = await lstat(place.link).catch(ifMissing(null));
  if (found === null) return { kind: 'none' };
  if (found.isDirectory()) return { kind: 'folder' };
  if (!found.isSymbolicLink()) throw new Error(`${place.link} is neither a folder nor a link; move it away`);
  const target = await readlink(place.link);
  const id = idOfLinkText(target);
  return id === null ? { kind: 'foreign', target } : { kind: 'set', id };
}

/** Without a manifest it is a folder that was in the place of the link and not of our making. */
export type KnownSet = { id: string; path: string; manifest: Manifest | null; isCurrent: boolean };

/** Every set that was ever installed and is still there: what the agent made can be in any of them. */
export async function findSets(place: Place): Promise<KnownSet[]> {
  const current = await findCurrent(place);
  const sets: KnownSet[] = [];
  for (const id of await readdir(place.setsDir)) {
    if (setIdOf(id) !== id) continue;
    const manifest = await readManifest(place, id);
    const isCurrent = current.kind === 'set' && current.id === id;
    if (manifest !== null || isFoundId(id) || isCurrent)
      sets.push({ id, path: setPath(place, id), manifest, isCurrent });
  }
  return sets;
}

export type BuiltSet = { id: string; skills: Entry[]; warnings: SkillWarning[] };

/** Nobody sees it before it is installed. */
export async function buildSet(place: Place, found: Found): Promise<BuiltSet> {
  const id = newSetId();
  const path = setPath(place, id);
  await mkdir(path);
  try {
    const toUserSkills = await linkTextToUserSkills(place, path);
    const link = (name: string) => symlink(join(toUserSkills, name), join(path, name));
    const warnings: SkillWarning[] = [];

    async function add({ name, tier, path: source }: FoundSkill): Promise<Entry> {
      if (tier === 'user') {
        await link(name);
        return { name, tier, fingerprint: null };
      }
      for (const part of await copyFolder(source, join(path, name)))
        warnings.push({ skill: name, message: `is installed without a part: ${part}` });
      return { name, tier, fingerprint: await fingerprintOf(join(path, name)) };
    }

    // All are waited for, whatever becomes of one: nothing may still be written into a set that is discarded.
    const limit = pLimit(maxAtOnce);
    const added = await Promise.allSettled(found.skills.map((skill) => limit(add, skill)));
    const skills = added.map((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value;
    });
    // No skills to the agent's program; through the link the rest of them is written to where they are kept.
    for (const name of found.begun) await link(name);
    return { id, skills, warnings };
  } catch (error) {
    await discardSet(place, id).catch(() => undefined);
    throw error;
  }
}

/** Relative, so that it holds wherever the volume is mounted, and from where the set really lies. */
export async function linkTextToUserSkills(place: Place, setPath: string): Promise<string> {
  return relative(await realpath(setPath), await realpath(place.userDir));
}

export async function installSet(place: Place, { id, skills }: BuiltSet, warnings: SkillWarning[]): Promise<void> {
  await writeManifest(place, id, { skills, warnings });
  await prepareLink(place, id);
  await replaceLink(place, id);
}

/** A folder in the place of the link, of 1.x or of the agent's making, becomes a set like others. */
export async function takeFolder(place: Place): Promise<void> {
  const id = newFoundId();
  // First, because there are file systems without links: there the folder stays where it is.
  await prepareLink(place, id);
  await rename(place.link, setPath(place, id));
  await replaceLink(place, id);
}

async function prepareLink(place: Place, id: string): Promise<void> {
  await symlink(linkTextOf(id), nextLinkPath(place, id));
}

async function replaceLink(place: Place, id: string): Promise<void> {
  await rename(nextLinkPath(place, id), place.link);
}

/** Of a set that was not installed. Looked at again, because a rename over NFS can fail and yet have been done. */
export async function discardSet(place: Place, id: string): Promise<void> {
  const current = await findCurrent(place);
  if (current.kind === 'set' && current.id === id) return;
  await removeSet(place, id);
}

async function removeSet(place: Place, id: string): Promise<void> {
  for (const path of [setPath(place, id), nextLinkPath(place, id), gonePath(place, id), manifestPath(place, id)])
    await rm(path, { recursive: true, force: true });
}

/** Another instance on this volume may be building a set now, or be about to install the one that it has finished. */
const building = { unfinishedMs: 600_000, finishedMs: 10_000 };

/** Removes the sets that are not in use, but for `keep`, and what reloads that were cut off have left. */
export async function tidySets(place: Place, keep: string | null): Promise<void> {
  const current = await findCurrent(place);
  const ids = new Set((await readdir(place.setsDir)).map(setIdOf));
  for (const id of ids) {
    if (id === null || id === keep || (current.kind === 'set' && current.id === id)) continue;
    const isFinished = (await readManifest(place, id)) !== null;
    const isYoung = isFinished
      ? await isYounger(manifestPath(place, id), building.finishedMs)
      : !isFoundId(id) && (await isYounger(setPath(place, id), building.unfinishedMs));
    if (!isYoung) await removeSet(place, id);
  }
}

export async function isYounger(path: string, ms: number): Promise<boolean> {
  const found = await lstat(path).catch(ifMissing(null));
  return found !== null && Date.now() - found.mtimeMs < ms;
}
