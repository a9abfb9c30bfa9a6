/** Skills on the wire. The names of the members are those of PicoClaw 1.x. */

import { z } from '@hono/zod-openapi';
import type { InstalledSkills } from '../skills/skills.ts';

const names = (description: string, example: string[]) => z.array(z.string()).openapi({ description, example });

export const skillsSchema = z
  .strictObject({
    builtIn: names('Those that come with the server and were not replaced.', ['memory-notes']),
    org: names("The organisation's, from SKILLS_DIR.", ['scheduling']),
    user: names("The user's and the agent's own, from MEMORY_DIR/skills.", ['invoices']),
    effective: names('All that the agent has.', ['invoices', 'memory-notes', 'scheduling']),
    warnings: z
      .array(
        z.strictObject({
          skill: z.string().openapi({ description: 'The name of its folder.', example: 'drafts' }),
          message: z.string().openapi({ example: 'SKILLS_DIR/drafts is skipped: it has no SKILL.md' }),
        }),
      )
      .openapi({ description: 'What was skipped by the last reload, or is otherwise not as it seems, and why.' }),
  })
  .openapi('Skills');

export function toSkillsJson({
  builtIn,
  org,
  user,
  effective,
  warnings,
}: InstalledSkills): z.output<typeof skillsSchema> {
  return { builtIn, org, user, effective, warnings };
}
