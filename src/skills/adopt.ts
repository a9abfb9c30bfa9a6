/**
 * Takes over what the agent made among the installed skills: it becomes a user skill, and a link to it takes its place.
 *
 * Afterwards a set holds nothing but copies that its manifest names and links to user skills, so that removing it loses
 * nothing, and what is later removed from a source does not come back as the agent's. Cut off anywhere, the next call goes on.
 */

import { basename, join } from 'node:path';
import { fingerprintOf } from './fingerprint.ts';
import { keep, removeTemporary } from './keep.ts';
import { type Entry, writeManifest } from './manifest.ts';
import type { Place } from './place.ts';
import type { SkillWarning } from './skill.ts';
import { findCurrent, findSets, type KnownSet, linkTextToUserSkills, takeFolder } from './skill-set.ts';
import { namesIn, type ReservedNames } from './sources.ts';

/** `names`: of the user skills that are new or replaced. */
export type Adopted = { names: string[]; warnings: SkillWarning[] };

/** Between starts: for an instant what is taken over is not in its place. */
export async function adopt(place: Place, reserved: ReservedNames): Promise<Adopted> {
  const adopted: Adopted = { names: [], warnings: [] };
  await removeTemporary(place);
  const current = await findCurrent(place);
  if (current.kind === 'folder') await takeFolder(place);
  if (current.kind === 'foreign')
    adopted.warnings.push({
      skill: basename(current.target),
      message: `.claude/skills was a link to ${current.target} and is replaced; put skills into SKILLS_DIR or MEMORY_DIR/skills`,
    });
  for (const set of await findSets(place)) {
    if (set.manifest === null) await adoptUnknown(place, { set, reserved }, adopted);
    else await adoptSince(place, { set, entries: set.manifest.skills }, adopted);
  }
  return adopted;
}

/** From a set that we made: all that it was not made of. */
async function adoptSince(
  place: Place,
  { set, entries }: { set: KnownSet; entries: Entry[] },
  adopted: Adopted,
): Promise<void> {
  const entryOf = new Map(entries.map((entry) => [entry.name, entry]));
  const content = await readContent(place, set);
  for (const name of content.names) {
    const entry = entryOf.get(name);
    if (entry === undefined || entry.tier === 'user') {
      await adoptOne(place, { content, name, replaces: entry !== undefined }, adopted);
    } else if (set.isCurrent && (await isEdited(join(set.path, name), entry))) {
      warn(adopted, name, 'was edited, and is now as its source has it; keep changes under another name');
    }
    entryOf.delete(name);
  }
  const removed = [...entryOf.values()].filter(({ tier }) => tier === 'user');
  if (!set.isCurrent || removed.length === 0) return;
  const kept = await namesIn(place.userDir);
  // The agent can remove the link, but its source decides.
  for (const { name } of removed.filter((entry) => kept.includes(entry.name)))
    warn(adopted, name, `was removed, and is installed again; to be rid of it remove MEMORY_DIR/skills/${name}`);
}

/** From a folder that we did not make: all but what has a source, which is taken for the copy that 1.x made of it. */
async function adoptUnknown(
  place: Place,
  { set, reserved }: { set: KnownSet; reserved: ReservedNames },
  adopted: Adopted,
): Promise<void> {
  const copies: Entry[] = [];
  const content = await readContent(place, set);
  for (const name of content.names) {
    const tier = reserved.get(name);
    if (tier !== undefined) copies.push({ name, tier, fingerprint: null });
    else if ((await adoptOne(place, { content, name, replaces: false }, adopted)) === name)
      warn(adopted, name, `is in no source, and is kept as MEMORY_DIR/skills/${name}`);
  }
  await writeManifest(place, set.id, { skills: copies, warnings: [] });
}

/** What lies in a set, and how a link in it leads to a user skill. */
type Content = { set: KnownSet; toUserSkills: string; names: string[] };

async function readContent(place: Place, set: KnownSet): Promise<Content> {
  return { set, toUserSkills: await linkTextToUserSkills(place, set.path), names: await namesIn(set.path) };
}

type One = { content: Content; name: string; replaces: boolean };

/** Resolves to the name of the user skill that came of it; null when none did. */
async function adoptOne(
  place: Place,
  { content: { set, toUserSkills }, name, replaces }: One,
  adopted: Adopted,
): Promise<string | null> {
  const kept = await keep(place, { path: join(set.path, name), name, toUserSkills, replaces });
  if (kept.kind === 'dropped' && !replaces && set.isCurrent) warn(adopted, name, `${kept.because}, and is dropped`);
  if (kept.kind !== 'kept') return null;
  adopted.names.push(kept.name);
  if (kept.name !== name)
    warn(adopted, name, `is kept as MEMORY_DIR/skills/${kept.name}, because there is another ${name}`);
  return kept.name;
}

/** A copy that cannot be read is not edited but broken, and is made again. */
async function isEdited(path: string, { fingerprint }: Entry): Promise<boolean> {
  return fingerprint !== null && (await fingerprintOf(path).catch(() => fingerprint)) !== fingerprint;
}

function warn({ warnings }: Adopted, name: string, message: string): void {
  warnings.push({ skill: name, message: `.claude/skills/${name} ${message}` });
}
