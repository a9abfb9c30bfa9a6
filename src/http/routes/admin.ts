/** GET /admin/skills and POST /admin/reload-skills */

import { z } from '@hono/zod-openapi';
import type { Skills } from '../../skills/skills.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';
import { skillsSchema, toSkillsJson } from '../skills-json.ts';

export type AdminRouteDeps = { operations: { skills: Skills } };

const skillsResponse = z.strictObject({ skills: skillsSchema }).openapi('SkillsResponse');
const reloadResponse = z
  .strictObject({ status: z.literal('reloaded'), skills: skillsSchema })
  .openapi('ReloadSkillsResponse');

export const listSkillsRoute = defineRoute({
  method: 'get',
  path: '/admin/skills',
  operationId: 'listSkills',
  tag: 'Operation',
  summary: 'List the installed skills',
  description: 'What is installed now, the skills that the agent has made since the last reload included.',
  params: none,
  query: none,
  body: noBody,
  success: { 200: { description: 'The skills.', content: { 'application/json': { schema: skillsResponse } } } },
  problems: [],
});

export const reloadSkillsRoute = defineRoute({
  method: 'post',
  path: '/admin/reload-skills',
  operationId: 'reloadSkills',
  tag: 'Operation',
  summary: 'Install the skills anew',
  description:
    'Reads the three sources again and replaces the installed set whole: an organisation’s skill goes before a built-in ' +
    'one of its name, a user’s takes only a name that is free, and what is gone from its source is gone. Skills that the ' +
    'agent has made are kept. Runs that have begun keep the skills they began with and the text of each SKILL.md; other ' +
    'files of a skill they read from the new set. What is wrong with one skill is in `warnings`, and stops no other.',
  params: none,
  query: none,
  body: { presence: 'optional', schema: none },
  success: {
    200: { description: 'The skills are installed.', content: { 'application/json': { schema: reloadResponse } } },
  },
  problems: ['skills_failed'],
});

export function addAdminRoutes(app: App, { operations: { skills } }: AdminRouteDeps): void {
  addRoute(app, listSkillsRoute, async (c) => c.json({ skills: toSkillsJson(await skills.read()) }));
  addRoute(app, reloadSkillsRoute, async (c) => {
    const answer: z.output<typeof reloadResponse> = { status: 'reloaded', skills: toSkillsJson(await skills.reload()) };
    return c.json(answer);
  });
}
