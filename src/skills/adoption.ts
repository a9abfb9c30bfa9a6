/**
 * Makes a user skill of one thing that lies in a set. What reads and copies is done before (`planAdoption`) and after
 * (`cleanUp`); between starts (`carryOut`) things are only renamed and linked.
 *
 * It is claimed first, by a rename into a `found-` or `later-` set of its own: of two instances one has it, and after a
 * crash it is found there. Nothing is overwritten, but for the old version of a skill by its new one.
 */

import { cp, lstat, mkdir, realpath, rename, rm, rmdir, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { codeOf, ifMissing } from '../lib/error-code.ts';
import { checkSkill, isMisread } from './check-skill.ts';
import { isOurs, type Made } from './find-made.ts';
import { isLaterId, newSetId, newTemporaryPath, type Place, setPath } from './place.ts';
import { hasSameContent } from './same-content.ts';

type Plan =
  /** It is only removed. `why` is null when that needs not be said. */
  | { kind: 'drop'; why: string | null }
  /** The user skill that the link led to gets the link's name. */
  | { kind: 'rename'; from: string }
  /** `beside`: what becomes of the user skill of this name. `copy`: is moved there in its stead, from where a rename leads. */
  | { kind: 'keep'; isLater: boolean; beside: 'replaced' | 'moved' | 'left'; copy: string | null };

export async function planAdoption(place: Place, made: Made): Promise<Plan> {
  if (made.linkText !== null) return await planForLink(place, made, made.linkText);
  const { set, name, path } = made;
  if (isMisread(name)) throw new Error('its name is not UTF-8');
  const own = join(place.userDir, name);
  const isLater =
    isLaterId(set.id) || (set.manifest?.skills.some((entry) => entry.name === name && entry.tier === 'user') ?? false);
  const there = await lstat(own).catch(ifMissing(null));
  if (there !== null && (await hasSameContent(path, await realpath(own).catch(() => own))))
    return { kind: 'drop', why: null };

  const isSkill = (await checkSkill(path)).kind === 'skill';
  const areFiles = there?.isFile() === true && (await lstat(path)).isFile();
  const isTakenByNone = !areFiles && isSkill && (await checkSkill(own)).kind !== 'skill';
  const beside = areFiles || (isLater && isSkill) ? 'replaced' : isTakenByNone ? 'moved' : 'left';
  const copy = (await canMove(place)) ? null : newTemporaryPath(place);
  if (copy !== null) await cp(path, copy, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
  return { kind: 'keep', isLater, beside: there === null ? 'left' : beside, copy };
}

async function planForLink(place: Place, { set, name, path }: Made, linkText: string): Promise<Plan> {
  const own = join(place.userDir, name);
  if (isOurs(set, linkText)) {
    const from = basename(linkText);
    const isRenamed =
      (await isThere(join(place.userDir, from))) && !(await isThere(own)) && !(await isThere(join(set.path, from)));
    if (!set.isCurrent) return { kind: 'drop', why: null };
    return isRenamed ? { kind: 'rename', from } : { kind: 'drop', why: `is a link to the user skill ${from}` };
  }
  const real = await realpath(path).catch(() => null);
  if (real === null) return { kind: 'drop', why: 'is a link that leads nowhere' };
  const [setsDir, userDir] = await Promise.all([realpath(dirname(set.path)), realpath(place.userDir)]);
  if (real.startsWith(setsDir + sep) || real.startsWith(userDir + sep))
    return { kind: 'drop', why: 'is a link to another skill' };
  if ((await realpath(own).catch(() => null)) === real) return { kind: 'drop', why: null };
  const copy = newTemporaryPath(place);
  await symlink(relative(userDir, real), copy);
  return { kind: 'keep', isLater: false, beside: 'left', copy };
}

/** Whether a rename leads from the sets to the user skills: `.claude` can be a volume of its own. */
async function canMove(place: Place): Promise<boolean> {
  const [from, to] = [setPath(place, newSetId()), newTemporaryPath(place)];
  await mkdir(from);
  try {
    await rename(from, to);
  } catch (error) {
    await rmdir(from);
    if (codeOf(error) === 'EXDEV') return false;
    throw error;
  }
  await rmdir(to);
  return true;
}

/** `name`: of the user skill; null for none. `moved`: the other name of what had it. `rest`: paths to be removed. */
export type Adopted = { name: string | null; moved: string | null; rest: string[] };

/** Null when another instance on this volume was faster. */
export async function carryOut(place: Place, made: Made, plan: Plan): Promise<Adopted | null> {
  const { set, name, path } = made;
  const own = join(place.userDir, name);
  const claim = setPath(place, newSetId(plan.kind === 'keep' && plan.isLater ? 'later-' : 'found-'));
  const claimed = join(claim, name);
  await mkdir(claim);
  try {
    await rename(path, claimed);
    if (made.linkText === null && (await lstat(claimed)).isSymbolicLink()) {
      await rename(claimed, path);
      throw Object.assign(new Error(`${path} is taken over already`), { code: 'ENOENT' });
    }
  } catch (error) {
    await rmdir(claim);
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }

  const adopted: Adopted = { name: null, moved: null, rest: [claim] };
  if (plan.kind === 'rename') {
    await rename(join(place.userDir, plan.from), own);
    adopted.name = name;
  } else if (plan.kind === 'keep') {
    if (plan.beside === 'replaced') {
      const old = newTemporaryPath(place);
      await rename(own, old);
      adopted.rest.push(old);
    } else if (plan.beside === 'moved') {
      adopted.moved = await freeName(place, name);
      await rename(own, join(place.userDir, adopted.moved));
    }
    adopted.name = await freeName(place, name);
    await rename(plan.copy ?? claimed, join(place.userDir, adopted.name));
  }
  if (set.isCurrent) for (const one of [name, adopted.name ?? name]) await linkIn(place, made, one);
  return adopted;
}

/** So that a process that starts before the next set is installed finds it. */
async function linkIn(place: Place, { set }: Made, name: string): Promise<void> {
  const isAway = !(await isThere(join(set.path, name)));
  if (isAway && (await isThere(join(place.userDir, name))))
    await symlink(join(set.toUserSkills, name), join(set.path, name));
}

/** What is left when it is cut off, the next reload finds to be kept already. */
export async function cleanUp({ rest }: Adopted): Promise<void> {
  for (const path of rest) await rm(path, { recursive: true, force: true });
}

async function freeName({ userDir }: Place, name: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const free = number === 1 ? name : `${name}-${number}`;
    if (!(await isThere(join(userDir, free)))) return free;
  }
}

async function isThere(path: string): Promise<boolean> {
  return (await lstat(path).catch(ifMissing(null))) !== null;
}
