/** What lies in the sets and is not ours: neither a copy of a source nor a link to the user skill of its name. */

import { lstat, readlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ifMissing } from '../lib/error-code.ts';
import { isMisread } from './check-skill.ts';
import { isLaterId, type Place } from './place.ts';
import { type Current, findCurrent, findSets, type KnownSet, linkTextToUserSkills } from './skill-set.ts';
import { findOriginal, namesIn, type Source } from './sources.ts';

/** `copies`: names of the copies in it. `toUserSkills`: how our links in it lead to the user skills, less the name. */
export type SurveyedSet = KnownSet & { copies: Set<string>; toUserSkills: string };
export type Survey = { current: Current; sets: SurveyedSet[] };

/** `linkText`: null for what is no link. */
export type Made = { set: SurveyedSet; name: string; path: string; linkText: string | null };

/** Reads manifests, and compares what has none with the sources, so not between starts. */
export async function surveySets(place: Place, sources: Source[]): Promise<Survey> {
  const current = await findCurrent(place);
  const toUserSkills = await linkTextToUserSkills(place);
  const sets: SurveyedSet[] = [];
  // Another instance's can go meanwhile: it is then as if it were empty.
  for (const set of await findSets(place, current)) {
    const copies = new Set<string>();
    for (const { name, tier } of set.manifest?.skills ?? []) if (tier !== 'user') copies.add(name);
    if (set.manifest === null && !isLaterId(set.id))
      for (const name of await namesIn(set.path))
        if ((await findOriginal(sources, { path: join(set.path, name), name })) !== null) copies.add(name);
    sets.push({ ...set, copies, toUserSkills });
  }
  return { current, sets };
}

/** Looks at names and links only, so that it can be asked between starts. */
export async function findMade({ sets }: Survey): Promise<Made[]> {
  const made: Made[] = [];
  for (const set of sets) {
    for (const name of await namesIn(set.path)) {
      if (set.copies.has(name)) continue;
      const path = join(set.path, name);
      const found = await lstat(path).catch(ifMissing(null));
      if (found === null && !isMisread(name)) continue;
      const linkText = found?.isSymbolicLink() ? await readlink(path) : null;
      if (linkText === null || !isOurs(set, linkText) || basename(linkText) !== name)
        made.push({ set, name, path, linkText });
    }
  }
  return made;
}

/** Of a link that leads to a user skill as ours do. */
export function isOurs({ toUserSkills }: SurveyedSet, linkText: string): boolean {
  return dirname(linkText) === toUserSkills;
}
