/** The words of this room: where a skill comes from, and what is said of the ones that are installed. */

/** Where it comes from. An `org` skill takes the place of a `built_in` one; a `user` skill only a name that is free. */
export const tiers = ['built_in', 'org', 'user'] as const;
export type Tier = (typeof tiers)[number];

/** `skill` is the name of its folder. The message says what is wrong and what to do. */
export type SkillWarning = { skill: string; message: string };

/** Names, sorted. `effective` is all of them. */
export type InstalledSkills = {
  builtIn: string[];
  org: string[];
  user: string[];
  effective: string[];
  warnings: SkillWarning[];
};
