/**
 * Takes over what the agent made among the installed skills: it becomes a user skill, and a link to it takes its place.
 *
 * Afterwards a set holds nothing but copies and links to user skills, so that removing it loses nothing, and what is later
 * removed from a source does not come back as the agent's. What cannot be taken over stays, is told of, and keeps its set.
 */

import { basename } from 'node:path';
import { type Adopted, carryOut, cleanUp, planAdoption } from './adoption.ts';
import { faultOf } from './check-skill.ts';
import { findMade, type Made, type Survey, surveySets } from './find-made.ts';
import { writeManifest } from './manifest.ts';
import { isFoundId, isLaterId, type Place } from './place.ts';
import type { SkillWarning } from './skill.ts';
import { findCurrent, takeOver } from './skill-set.ts';
import { namesIn, type Source } from './sources.ts';

/** What has come of a reload so far. `names`: of the user skills that are new. `stuck`: paths of what stays. */
export type Adoptions = { names: string[]; warnings: SkillWarning[]; stuck: Set<string> };

export type AdoptDeps = { place: Place; sources: Source[]; betweenStarts: <T>(work: () => Promise<T>) => Promise<T> };

/** Another instance on this volume, or the agent, can be at work as well. */
const maxAttempts = 3;

/** Resolves to the sets in which nothing is left, but for what is stuck. */
export async function adopt({ place, sources, betweenStarts }: AdoptDeps, adoptions: Adoptions): Promise<Survey> {
  const { kind } = await findCurrent(place);
  if (kind === 'folder' || kind === 'file') await betweenStarts(() => takeOver(place, kind));

  const faults = new Map<string, unknown>();
  for (let attempt = 1; ; attempt += 1) {
    const survey = await surveySets(place, sources);
    const made = (await findMade(survey)).filter(({ path }) => !adoptions.stuck.has(path));
    if (attempt > maxAttempts)
      for (const { path, name } of made) {
        adoptions.stuck.add(path);
        warn(adoptions, name, `is not kept yet: it ${await faultOf(path, faults.get(path))}`);
      }
    if (attempt > maxAttempts || made.length === 0) {
      await settle(place, survey, adoptions);
      return survey;
    }
    const plans: { one: Made; plan: Awaited<ReturnType<typeof planAdoption>> }[] = [];
    const noteFault = (path: string) => (error: unknown) => void faults.set(path, error);
    for (const one of made)
      await planAdoption(place, one).then((plan) => plans.push({ one, plan }), noteFault(one.path));
    const done = await betweenStarts(async () => {
      const all: Adopted[] = [];
      for (const { one, plan } of plans) {
        const adopted = await carryOut(place, one, plan).catch(noteFault(one.path));
        if (!adopted) continue;
        all.push(adopted);
        if (plan.kind === 'drop' && plan.why !== null && one.set.isCurrent)
          warn(adoptions, one.name, `${plan.why}, and is dropped`);
        if (adopted.name !== null) tellOfKept(adoptions, one, { ...adopted, name: adopted.name });
      }
      return all;
    });
    for (const adopted of done) await cleanUp(adopted).catch(() => undefined);
  }
}

/** What is to be done and said once for the sets as they are now. */
async function settle(place: Place, { current, sets }: Survey, adoptions: Adoptions): Promise<void> {
  if (current.kind === 'foreign')
    adoptions.warnings.push({
      skill: basename(current.target),
      message: `.claude/skills was a link to ${current.target} and is replaced; put skills into SKILLS_DIR or MEMORY_DIR/skills`,
    });
  const userSkills = await namesIn(place.userDir);
  for (const { id, path, isCurrent, manifest, copies } of sets) {
    const isStuck = [...adoptions.stuck].some((one) => one.startsWith(`${path}/`));
    // Its copies are of the sources as they are now; those may be gone when it is looked at again.
    if (manifest === null && isFoundId(id) && !isStuck)
      await writeManifest(place, id, { skills: [...copies].map((name) => ({ name, tier: 'built_in' })), warnings: [] });
    if (!isCurrent || manifest === null) continue;
    const names = await namesIn(path);
    // The agent can remove the link, but its source decides.
    for (const { name, tier } of manifest.skills)
      if (tier === 'user' && !names.includes(name) && userSkills.includes(name))
        warn(adoptions, name, `was removed, and is installed again; to be rid of it remove MEMORY_DIR/skills/${name}`);
  }
}

function tellOfKept(adoptions: Adoptions, { set, name }: Made, kept: Adopted & { name: string }): void {
  adoptions.names.push(kept.name);
  const where = `MEMORY_DIR/skills/${kept.name}`;
  if (kept.name !== name) warn(adoptions, name, `is kept as ${where}, because there is another ${name}`);
  else if (kept.moved !== null)
    warn(adoptions, name, `is kept as ${where}; what was there is no skill, and is ${kept.moved} now`);
  else if (set.manifest === null && !isLaterId(set.id))
    warn(adoptions, name, `is not as a source has it, and is kept as ${where}`);
}

function warn({ warnings }: Adoptions, name: string, message: string): void {
  warnings.push({ skill: name, message: `.claude/skills/${name} ${message}` });
}
