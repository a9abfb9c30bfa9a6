/** What is installed now, by the set itself: what the agent made or broke since the last reload included. */

import { readManifest } from './manifest.ts';
import { placeIn } from './place.ts';
import type { InstalledSkills, SkillWarning, Tier } from './skill.ts';
import { findCurrent } from './skill-set.ts';
import { checkAll } from './sources.ts';

export async function readInstalled(memoryDir: string): Promise<InstalledSkills> {
  const place = placeIn(memoryDir);
  const current = await findCurrent(place);
  const manifest = current.kind === 'set' ? await readManifest(place, current.id) : null;
  const tierOf = new Map(manifest?.skills.map(({ name, tier }) => [name, tier]));
  const broken: SkillWarning[] = [];
  const skills: { name: string; tier: Tier }[] = [];
  for (const { name, checked } of await checkAll(place.link)) {
    // A skill that the manifest does not name the agent has made since.
    if (checked.kind === 'skill') skills.push({ name, tier: tierOf.get(name) ?? 'user' });
    else if (tierOf.has(name) || checked.kind === 'faulty')
      broken.push({ skill: name, message: `.claude/skills/${name} is no skill any more: ${checked.fault}` });
  }
  const namesOf = (tier: Tier) => skills.filter((skill) => skill.tier === tier).map(({ name }) => name);
  return {
    builtIn: namesOf('built_in'),
    org: namesOf('org'),
    user: namesOf('user'),
    effective: skills.map(({ name }) => name),
    warnings: [...(manifest?.warnings ?? []), ...broken],
  };
}
