/**
 * Makes a user skill of one thing that lies in a set, and puts a link to it in its place.
 *
 * Nothing is overwritten, but for the old version of a skill by its new one. Cut off anywhere, the next call does the rest.
 */

import { cp, lstat, mkdir, readlink, realpath, rename, rm, rmdir, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { codeOf, ifMissing } from '../lib/error-code.ts';
import { checkSkill } from './check-skill.ts';
import { gonePath, isTemporaryName, newSetId, type Place, temporaryPath } from './place.ts';
import { hasSameContent } from './same-content.ts';
import { isYounger } from './skill-set.ts';
import { namesIn } from './sources.ts';

export type Made = {
  path: string;
  name: string;
  /** The text of our links from where it lies to the user skills, less the name. */
  toUserSkills: string;
  /** It lies where we had put a link to the user skill of its name, so it is that skill, later. */
  replaces: boolean;
};

/** `name`: of the user skill. `there`: nothing was to be done. */
export type Kept = { kind: 'kept'; name: string } | { kind: 'there' } | { kind: 'dropped'; because: string };

export async function keep(place: Place, made: Made): Promise<Kept> {
  const found = await lstat(made.path);
  return found.isSymbolicLink() ? await keepLink(place, made) : await keepContent(place, made);
}

async function keepContent(place: Place, { path, name, toUserSkills, replaces }: Made): Promise<Kept> {
  let target = join(place.userDir, name);
  if (await isThere(target)) {
    const kept = await realpath(target).catch(() => target);
    const isSame = await hasSameContent(path, kept);
    const isLater = replaces && (await checkSkill(path)).kind === 'skill';
    // Another instance on this volume was faster. Asked last, because what follows moves and removes.
    if ((await realpath(path)) === kept) return { kind: 'there' };
    if (isSame) {
      await replaceByLink(place, path, join(toUserSkills, name));
      return { kind: 'there' };
    }
    if (isLater) await rm(target, { recursive: true });
    else target = await freePath(place, name);
  }
  await move(place, path, target);
  await symlink(join(toUserSkills, basename(target)), path);
  return { kind: 'kept', name: basename(target) };
}

async function replaceByLink(place: Place, path: string, linkText: string): Promise<void> {
  const gone = gonePath(place, newSetId());
  await rename(path, gone);
  await symlink(linkText, path);
  await rm(gone, { recursive: true });
}

/** A link of the agent's to a skill that lies elsewhere is kept as a link. */
async function keepLink(place: Place, { path, name, toUserSkills }: Made): Promise<Kept> {
  if (dirname(await readlink(path)) === toUserSkills) return { kind: 'there' };
  const real = await realpath(path).catch(() => null);
  if (real === null) return { kind: 'dropped', because: 'is a link that leads nowhere' };
  const [setDir, userDir] = await Promise.all([realpath(dirname(path)), realpath(place.userDir)]);
  if (real.startsWith(dirname(setDir) + sep) || real.startsWith(userDir + sep))
    return { kind: 'dropped', because: 'is a link to another skill' };

  const own = join(place.userDir, name);
  const isKept = (await realpath(own).catch(() => null)) === real;
  const target = isKept ? own : await freePath(place, name);
  if (!isKept) await symlink(relative(userDir, real), target);
  await rm(path);
  await symlink(join(toUserSkills, basename(target)), path);
  return { kind: 'kept', name: basename(target) };
}

async function freePath({ userDir }: Place, name: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const path = join(userDir, number === 1 ? name : `${name}-${number}`);
    if (!(await isThere(path))) return path;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(ifMissing(null))) !== null;
}

async function move(place: Place, from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    // `.claude` can be a volume of its own.
    if (codeOf(error) !== 'EXDEV') throw error;
    const temporary = temporaryPath(place);
    const copy = join(temporary, basename(to));
    await mkdir(temporary);
    await cp(from, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    await rename(copy, to);
    await rmdir(temporary);
    // In one step, so that no half of it is ever taken for a version of its own.
    const gone = gonePath(place, newSetId());
    await rename(from, gone);
    await rm(gone, { recursive: true });
  }
}

/** Younger ones may be those of another instance on this volume, which needs them whole. */
const maxTemporaryMs = 600_000;

/** Copies that were cut off. */
export async function removeTemporary({ userDir }: Place): Promise<void> {
  for (const name of await namesIn(userDir)) {
    if (!isTemporaryName(name)) continue;
    const path = join(userDir, name);
    if (!(await isYounger(path, maxTemporaryMs))) await rm(path, { recursive: true });
  }
}
