/** The skills over HTTP; what is a skill and how it is installed is tested in test/unit/skills-*. */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectProblem, startApp } from '../support/http-app.ts';

function addSkill(folder: string, name: string): void {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, 'SKILL.md'), `---\nname: ${name}\ndescription: What ${name} is for.\n---\nDo it.\n`);
}

const none = { builtIn: [], org: [], user: [], effective: [], warnings: [] };

describe('GET /admin/skills', () => {
  it('tells what is installed, which is nothing before the first reload', async () => {
    await using app = await startApp();
    addSkill(join(app.dir, 'built-in-skills'), 'scheduling');
    expect((await app.send('/admin/skills')).body).toEqual({ skills: none });
    await app.post('/admin/reload-skills', {});
    expect((await app.send('/admin/skills')).body).toEqual({
      skills: { ...none, builtIn: ['scheduling'], effective: ['scheduling'] },
    });
  });
});

describe('POST /admin/reload-skills', () => {
  it('installs the three tiers, an organisation’s skill in place of a built-in one, and names what it skipped', async () => {
    await using app = await startApp();
    addSkill(join(app.dir, 'built-in-skills'), 'notes');
    addSkill(join(app.dir, 'built-in-skills'), 'scheduling');
    addSkill(join(app.dir, 'skills'), 'notes');
    addSkill(join(app.dir, 'memory/skills'), 'invoices');
    mkdirSync(join(app.dir, 'skills/empty'));
    const { status, body } = await app.send('/admin/reload-skills', { method: 'POST' });
    expect(status).toBe(200);
    expect(body).toEqual({
      status: 'reloaded',
      skills: {
        builtIn: ['scheduling'],
        org: ['notes'],
        user: ['invoices'],
        effective: ['invoices', 'notes', 'scheduling'],
        warnings: [{ skill: 'empty', message: expect.stringContaining('has no SKILL.md') }],
      },
    });
    expect(Object.keys(body)[0]).toBe('status');
  });

  it('forgets a skill that is gone from its source', async () => {
    await using app = await startApp();
    addSkill(join(app.dir, 'skills'), 'dangerous');
    await app.post('/admin/reload-skills', {});
    rmSync(join(app.dir, 'skills/dangerous'), { recursive: true });
    expect((await app.post('/admin/reload-skills', {})).body).toEqual({ status: 'reloaded', skills: none });
  });

  it('takes no field', async () => {
    await using app = await startApp();
    expectProblem(await app.post('/admin/reload-skills', { force: true }), 400, 'invalid_request');
  });

  it('where the skills cannot be installed says so, and leaves those that are', async () => {
    await using app = await startApp();
    addSkill(join(app.dir, 'skills'), 'notes');
    await app.post('/admin/reload-skills', {});
    rmSync(join(app.dir, 'skills'), { recursive: true });
    writeFileSync(join(app.dir, 'skills'), 'a file in the place of the folder');
    expectProblem(await app.post('/admin/reload-skills', {}), 503, 'skills_failed');
    expect((await app.send('/admin/skills')).body).toMatchObject({ skills: { effective: ['notes'] } });
  });
});

it('both need a token', async () => {
  await using app = await startApp({ settings: { apiTokens: ['secret-token-0123456789'] } });
  expectProblem(await app.send('/admin/skills'), 401, 'unauthorized');
  expectProblem(await app.send('/admin/reload-skills', { method: 'POST' }), 401, 'unauthorized');
});
