/** The three sources of skills, and which of their skills are to be installed. Nothing is written here. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { ifMissing } from '../lib/error-code.ts';
import { type Checked, checkSkill } from './check-skill.ts';
import { isTemporaryName } from './place.ts';
import type { SkillWarning, Tier } from './skill.ts';

/** `label`: the folder in the operator's words. */
export type Source = { tier: Tier; dir: string; label: string };

export type FoundSkill = { name: string; tier: Tier; path: string };

/** In the order in which they are read: built-in, org, user. */
export function makeSources(deps: { builtInDir: string; orgDir: string; userDir: string }): Source[] {
  return [
    { tier: 'built_in', dir: deps.builtInDir, label: 'BUILT_IN_SKILLS_DIR' },
    { tier: 'org', dir: deps.orgDir, label: 'SKILLS_DIR' },
    { tier: 'user', dir: deps.userDir, label: 'MEMORY_DIR/skills' },
  ];
}

/** `begun`: the names of user skills that have no SKILL.md yet, as the agent's while it writes them. */
export type Found = { skills: FoundSkill[]; begun: string[]; warnings: SkillWarning[] };

/** A source that is not there is empty; one that cannot be read is an error. */
export async function findSkills(sources: Source[]): Promise<Found> {
  const skills = new Map<string, FoundSkill>();
  const begun: string[] = [];
  const warnings: SkillWarning[] = [];
  for (const { tier, dir, label } of sources) {
    for (const { name, path, checked } of await checkAll(dir)) {
      const warn = (message: string) => warnings.push({ skill: name, message: `${label}/${name} ${message}` });
      const holder = skills.get(name);
      if (checked.kind !== 'skill') {
        warn(`is skipped: ${checked.fault}`);
        if (checked.kind === 'begun' && tier === 'user' && holder === undefined) begun.push(name);
      } else if (tier === 'user' && holder !== undefined) {
        const goesBefore = holder.tier === 'org' ? "the organisation's" : 'the built-in';
        warn(`is skipped: ${goesBefore} skill of this name goes before it; rename the folder to have both`);
      } else {
        for (const warning of checked.warnings) warn(`is installed, but ${warning}`);
        skills.set(name, { name, tier, path });
      }
    }
  }
  return { skills: [...skills.values()], begun, warnings };
}

/** Skills at once: on a network volume each step takes a millisecond or more, but open files are limited. */
export const maxAtOnce = 16;

/** All that lies in a folder of skills, by name, but for what is being put there. */
export async function checkAll(dir: string): Promise<{ name: string; path: string; checked: Checked }[]> {
  const names = (await namesIn(dir)).filter((name) => !isTemporaryName(name));
  return await pLimit(maxAtOnce).map(names, async (name) => {
    const path = join(dir, name);
    return { name, path, checked: await checkSkill(path) };
  });
}

/** All that lies there, skill or not, sorted. */
export async function namesIn(dir: string): Promise<string[]> {
  const none: string[] = [];
  return (await readdir(dir).catch(ifMissing(none))).sort();
}

/** The names that the built-in and org sources hold, skill or not. */
export type ReservedNames = Map<string, Tier>;

export async function findReservedNames(sources: Source[]): Promise<ReservedNames> {
  const names: ReservedNames = new Map();
  for (const { tier, dir } of sources) {
    if (tier === 'user') continue;
    for (const name of await namesIn(dir)) names.set(name, tier);
  }
  return names;
}
