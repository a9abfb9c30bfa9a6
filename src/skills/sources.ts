/** The three sources of skills, and which of their skills are to be installed. Nothing is written here. */

import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { ifMissing } from '../lib/error-code.ts';
import { type CheckedSkill, checkSkill } from './check-skill.ts';
import { isTemporaryName } from './place.ts';
import { hasSameContent } from './same-content.ts';
import type { SkillWarning, Tier } from './skill.ts';

/** `label`: the folder in the operator's words. */
export type Source = { tier: Tier; dir: string; label: string };

export type FoundSkill = { name: string; tier: Tier; path: string };

/** In the order in which they are read: built-in, org, user. */
export function makeSources(deps: { builtInDir: string; orgSkillsDir: string; userDir: string }): Source[] {
  return [
    { tier: 'built_in', dir: deps.builtInDir, label: 'BUILT_IN_SKILLS_DIR' },
    { tier: 'org', dir: deps.orgSkillsDir, label: 'SKILLS_DIR' },
    { tier: 'user', dir: deps.userDir, label: 'MEMORY_DIR/skills' },
  ];
}

/** `unfinished`: the names of user skills that have no SKILL.md yet, as the agent's while it writes them. */
export type FoundSkills = { skills: FoundSkill[]; unfinished: string[]; warnings: SkillWarning[] };

/** A source that is not there is empty; one that cannot be read is an error. */
export async function findSkills(sources: Source[]): Promise<FoundSkills> {
  const skills = new Map<string, FoundSkill>();
  const unfinished: string[] = [];
  const warnings: SkillWarning[] = [];
  for (const { tier, dir, label } of sources) {
    for (const { name, path, checked } of await checkAll(dir)) {
      const warn = (message: string) => warnings.push({ skill: name, message: `${label}/${name} ${message}` });
      const holder = skills.get(keyOf(name));
      if (checked.kind !== 'skill') {
        warn(`is skipped: ${checked.fault}`);
        if (checked.kind === 'unfinished' && tier === 'user' && holder === undefined) unfinished.push(name);
      } else if (holder?.tier === tier) {
        warn(`is skipped: ${holder.name} has the same name but for upper case or accents; rename one of them`);
      } else if (tier === 'user' && holder !== undefined) {
        const goesBefore = holder.tier === 'org' ? "the organisation's" : 'the built-in';
        warn(`is skipped: ${goesBefore} skill of this name goes before it; rename the folder to have both`);
      } else {
        for (const warning of checked.warnings) warn(`is installed, but ${warning}`);
        skills.set(keyOf(name), { name, tier, path });
      }
    }
  }
  return { skills: [...skills.values()], unfinished, warnings };
}

/** Names of one key are the same folder where file systems are lenient, and no different to whoever reads them. */
function keyOf(name: string): string {
  return name.normalize('NFC').toLowerCase();
}

/** Skills at once: on a network volume each step takes a millisecond or more, but open files are limited. */
export const maxAtOnce = 16;

/** All that lies in a folder of skills, by name, but for what is being put there. */
export async function checkAll(dir: string): Promise<{ name: string; path: string; checked: CheckedSkill }[]> {
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

/** The tier of the built-in or org skill that this is a copy of; null when it is of none. */
export async function findOriginal(sources: Source[], { path, name }: { path: string; name: string }) {
  for (const { tier, dir } of sources)
    if (tier !== 'user' && (await hasSameContent(path, join(dir, name)))) return tier;
  return null;
}
