/**
 * The sets: how they are found, built, installed and removed.
 *
 * Invariants: a set is whole before the link leads to it, and the link is replaced by a rename, so that whoever opens
 * `.claude/skills` finds the old set or the new one. Nothing is flushed: after a power cut the start builds a new set.
 */

import { lstat, mkdir, readdir, readlink, realpath, rename, rm, symlink } from 'node:fs/promises';
import { join, relative } from 'node:path';
import pLimit from 'p-limit';
import { ifMissing } from '../lib/error-code.ts';
import { copyFolder } from './copy-folder.ts';
import { type Entry, type Manifest, readManifest, writeManifest } from './manifest.ts';
import {
  idOfLinkText,
  isFoundId,
  isTemporaryName,
  linkTextOf,
  manifestPath,
  newSetId,
  nextLinkPath,
  type Place,
  setIdOf,
  setPath,
} from './place.ts';
import type { SkillWarning } from './skill.ts';
import { type FoundSkill, type FoundSkills, maxAtOnce, namesIn } from './sources.ts';

/** What is in the place of the link; `foreign` is a link that is not ours. */
export type Current =
  | { kind: 'none' | 'folder' | 'file' }
  | { kind: 'set'; id: string }
  | { kind: 'foreign'; target: string };

export async function findCurrent(place: Place): Promise<Current> {
  const found = await lstat(place.link).catch(ifMissing(null));
  if (found === null) return { kind: 'none' };
  if (found.isDirectory()) return { kind: 'folder' };
  if (!found.isSymbolicLink()) return { kind: 'file' };
  const target = await readlink(place.link);
  const id = idOfLinkText(target);
  return id === null ? { kind: 'foreign', target } : { kind: 'set', id };
}

export type KnownSet = { id: string; path: string; manifest: Manifest | null; isCurrent: boolean };

/** Every set that was ever installed and is still there: what the agent made can be in any of them. */
export async function findSets(place: Place, current: Current): Promise<KnownSet[]> {
  const sets: KnownSet[] = [];
  for (const entry of await readdir(place.setsDir, { withFileTypes: true })) {
    const id = entry.name;
    if (setIdOf(id) !== id || !entry.isDirectory()) continue;
    const manifest = await readManifest(place, id);
    const isCurrent = current.kind === 'set' && current.id === id;
    if (manifest !== null || isFoundId(id) || isCurrent)
      sets.push({ id, path: setPath(place, id), manifest, isCurrent });
  }
  return sets;
}

/** Ready to be installed; nobody sees it before. Resolves to its id. `said`: the warnings that come before its own. */
export async function buildSet(place: Place, found: FoundSkills, said: SkillWarning[]): Promise<string> {
  const id = newSetId();
  const path = setPath(place, id);
  await mkdir(path);
  try {
    const toUserSkills = await linkTextToUserSkills(place);
    const link = (name: string) => symlink(join(toUserSkills, name), join(path, name));
    const warnings = [...said, ...found.warnings];

    async function add({ name, tier, path: source }: FoundSkill): Promise<Entry | null> {
      if (tier === 'user') {
        await link(name);
        return { name, tier };
      }
      const leftOut = await copyFolder(source, join(path, name));
      const essential = leftOut.find((part) => part.path === '' || part.path === 'SKILL.md');
      if (essential !== undefined) {
        warnings.push({
          skill: name,
          message: `could not be copied: ${essential.path || 'its folder'} ${essential.why}`,
        });
        await rm(join(path, name), { recursive: true, force: true });
        return null;
      }
      for (const part of leftOut)
        warnings.push({ skill: name, message: `is installed without a part: ${part.path} ${part.why}` });
      return { name, tier };
    }

    // All are waited for, whatever becomes of one: nothing may still be written into a set that is discarded.
    const limit = pLimit(maxAtOnce);
    const added = await Promise.allSettled(found.skills.map((skill) => limit(add, skill)));
    const skills = added.flatMap((one) => {
      if (one.status === 'rejected') throw one.reason;
      return one.value ?? [];
    });
    // No skills to the agent's program; through the link the rest of them is written to where they are kept.
    for (const name of found.unfinished) await link(name);
    await symlink(linkTextOf(id), nextLinkPath(place, id));
    await writeManifest(place, id, { skills, warnings: distinct(warnings) });
    return id;
  } catch (error) {
    await discardSet(place, id).catch(() => undefined);
    throw error;
  }
}

/** What is seen twice is said once. */
function distinct(warnings: SkillWarning[]): SkillWarning[] {
  return [...new Map(warnings.map((warning) => [JSON.stringify(warning), warning])).values()];
}

/** Relative, so that it holds wherever the volume is mounted, and from where the sets really lie. */
export async function linkTextToUserSkills({ setsDir, userDir }: Place): Promise<string> {
  return join('..', relative(await realpath(setsDir), await realpath(userDir)));
}

export async function installSet(place: Place, id: string): Promise<void> {
  await rename(nextLinkPath(place, id), place.link);
}

/** A folder in the place of the link, of 1.x or of the agent's making, becomes a set like others; a file lies in one. */
export async function takeOver(place: Place, kind: 'folder' | 'file'): Promise<void> {
  const id = newSetId('found-');
  // First, because there are file systems without links: there it stays where it is.
  await symlink(linkTextOf(id), nextLinkPath(place, id));
  if (kind === 'file') await mkdir(setPath(place, id));
  await rename(place.link, kind === 'file' ? join(setPath(place, id), 'skills') : setPath(place, id));
  await installSet(place, id);
}

/** Of a set that was not installed. Looked at again, because a rename over NFS can fail and yet have been done. */
export async function discardSet(place: Place, id: string): Promise<void> {
  const current = await findCurrent(place);
  if (current.kind === 'set' && current.id === id) return;
  await removeSet(place, id);
}

async function removeSet(place: Place, id: string): Promise<void> {
  for (const path of [setPath(place, id), nextLinkPath(place, id), manifestPath(place, id)])
    await rm(path, { recursive: true, force: true });
}

/** What is younger another instance on this volume may be at work with. */
const maxUnfinishedMs = 600_000;

/** Removes the sets that are not in use, but for those at the paths `inNeed`, and what reloads that were cut off have left. */
export async function tidySets(place: Place, inNeed: Set<string>): Promise<void> {
  const names = await readdir(place.setsDir);
  // After the names: whatever has a manifest and no next link by then was installed.
  const current = await findCurrent(place);
  for (const id of new Set(names.map(setIdOf))) {
    if (id === null || inNeed.has(setPath(place, id)) || (current.kind === 'set' && current.id === id)) continue;
    const isFinished = (await readManifest(place, id)) !== null;
    // What lies in it nobody may have taken over yet.
    if (isFoundId(id) && names.includes(id) && !isFinished) continue;
    const isAtRest = isFinished && !isFoundId(id) && !names.includes(`${id}.link`);
    if (isAtRest || !(await isYounger(names.includes(id) ? setPath(place, id) : nextLinkPath(place, id))))
      await removeSet(place, id);
  }
  for (const name of await namesIn(place.userDir)) {
    const path = join(place.userDir, name);
    if (isTemporaryName(name) && !(await isYounger(path))) await rm(path, { recursive: true });
  }
}

async function isYounger(path: string): Promise<boolean> {
  const found = await lstat(path).catch(ifMissing(null));
  return found !== null && Date.now() - found.mtimeMs < maxUnfinishedMs;
}
