/** The volume around the installed set: what 1.x, other hands and reloads before have left there. */

import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeSkillFolders, type SkillFolders, skillText } from '../support/skill-folders.ts';

test('the folder of a 1.x volume is taken over: what is like nothing in the sources is kept, copies of them are not', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Of version 2.' });
  folders.writeSkill('org', 'invoices', { body: 'Now.' });
  folders.writeSkill('user', 'recipes', { body: 'Cook.' });
  folders.writeSkill('user', 'greet', { body: 'As it was saved.' });
  folders.writeSkill('run_time', 'notes', { body: 'Of version 1.' });
  folders.writeSkill('run_time', 'invoices', { body: 'Now.' });
  folders.writeSkill('run_time', 'recipes', { body: 'Cook.' });
  folders.writeSkill('run_time', 'greet', { body: 'As the agent edited it after it was saved.' });
  folders.writeSkill('run_time', 'weather', { body: 'By the agent.' });
  expect(await folders.skills.read()).toMatchObject({
    effective: ['greet', 'invoices', 'notes', 'recipes', 'weather'],
  });

  const result = await folders.skills.reload();

  expect(result).toMatchObject({
    builtIn: ['notes'],
    org: ['invoices'],
    user: ['greet', 'greet-2', 'recipes', 'weather'],
  });
  expect(folders.installed('notes/SKILL.md')).toContain('Of version 2.');
  expect(folders.installed('weather/SKILL.md')).toContain('By the agent.');
  expect(folders.installed('greet-2/SKILL.md')).toContain('As the agent edited it');
  expect(folders.warningsOf(result, 'weather')).toEqual([
    '.claude/skills/weather is not as a source has it, and is kept as MEMORY_DIR/skills/weather',
  ]);
  // The agent's own, of a name that a built-in skill has since.
  expect(readFileSync(join(folders.dirs.user, 'notes/SKILL.md'), 'utf8')).toContain('Of version 1.');
  expect(folders.warningsOf(result, 'notes')).toEqual([
    '.claude/skills/notes is not as a source has it, and is kept as MEMORY_DIR/skills/notes',
    expect.stringContaining('the built-in skill of this name goes before it'),
  ]);
  expect(folders.warningsOf(result, 'recipes')).toEqual([]);
  expect(lstatSync(folders.dirs.run_time).isSymbolicLink()).toBe(true);

  // Nor do its copies bring back what is removed later.
  rmSync(join(folders.dirs.org, 'invoices'), { recursive: true });
  rmSync(join(folders.dirs.user, 'recipes'), { recursive: true });
  expect(await folders.skills.reload()).toMatchObject({ org: [], user: ['greet', 'greet-2', 'weather'] });
});

test('a link in the place of ours is replaced, and what it led to is left alone', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  folders.write('user', '../other/greet/SKILL.md', skillText('greet'));
  mkdirSync(join(folders.memoryDir, '.claude'));
  symlinkSync('../other', folders.dirs.run_time);
  const result = await folders.skills.reload();
  expect(result.effective).toEqual(['invoices']);
  expect(result.warnings).toEqual([
    {
      skill: 'other',
      message: expect.stringMatching(/^\.claude\/skills was a link to \.\.\/other and is replaced; put/),
    },
  ]);
  expect(existsSync(join(folders.memoryDir, 'other/greet/SKILL.md'))).toBe(true);
});

test.each([
  ['is gone', (folders: SkillFolders) => rmSync(folders.setsDir, { recursive: true })],
  [
    'has a manifest that cannot be read',
    (folders: SkillFolders) => breakManifests(folders, (path) => appendFileSync(path, '}')),
  ],
  ['has a folder for a manifest', (folders: SkillFolders) => breakManifests(folders, replaceByFolder)],
])('when the installed set %s, the next reload makes it whole again', async (_, damage) => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  folders.writeSkill('user', 'greet');
  await folders.skills.reload();
  folders.writeSkill('run_time', 'weather');
  await folders.skills.reload();
  damage(folders);
  expect(await folders.skills.reload()).toMatchObject({ org: ['invoices'], user: ['greet', 'weather'], warnings: [] });
});

function breakManifests({ setsDir }: SkillFolders, damage: (path: string) => void): void {
  for (const name of readdirSync(setsDir)) if (name.endsWith('.json')) damage(join(setsDir, name));
}

function replaceByFolder(path: string): void {
  rmSync(path);
  mkdirSync(join(path, 'deep'), { recursive: true });
}

test('the set before is kept, older ones and what was cut off are removed', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  await folders.skills.reload();
  const first = folders.current();
  await folders.skills.reload();
  const second = folders.current();
  const cutOff = '00000000-0000-4000-8000-000000000000';
  mkdirSync(join(folders.setsDir, cutOff));
  symlinkSync(`skill-sets/${cutOff}`, join(folders.setsDir, `${cutOff}.link`));
  mkdirSync(join(folders.setsDir, 'not-ours'));
  folders.ageSets();
  await folders.skills.reload();
  const names = [second, folders.current()].map((link) => link.replace('skill-sets/', ''));
  expect(readdirSync(folders.setsDir).sort()).toEqual(
    [...names.flatMap((id) => [id, `${id}.json`]), 'not-ours'].sort(),
  );
  expect(names).not.toContain(first.replace('skill-sets/', ''));
});

test.each([
  ['building', []],
  ['about to install', ['json', 'link']],
])('a set that another instance may be %s now is left alone', async (_, parts) => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  const other = join(folders.setsDir, '00000000-0000-4000-8000-000000000000');
  mkdirSync(other);
  for (const part of parts) writeFileSync(`${other}.${part}`, '{"skills": [], "warnings": []}');
  await folders.skills.reload();
  expect(existsSync(other)).toBe(true);
});

test('of two instances that take over the same at once one has it, and nothing is kept twice or lost', async () => {
  const other = makeSkillFolders();
  let isRaced = false;
  const folders = makeSkillFolders({
    root: join(other.memoryDir, '..'),
    betweenStarts: async (work) => {
      // Between the plan of the one and what it does, the other does the same.
      if (isRaced) await other.skills.reload();
      isRaced = false;
      return await work();
    },
  });
  folders.writeSkill('user', 'greet', { body: 'Old.' });
  await folders.skills.reload();
  rmSync(join(folders.dirs.run_time, 'greet'));
  folders.writeSkill('run_time', 'greet', { body: 'New.' });
  folders.writeSkill('run_time', 'weather', { body: 'Made.' });
  isRaced = true;
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet', 'weather'], warnings: [] });
  expect(readdirSync(folders.dirs.user)).toEqual(['greet', 'weather']);
  expect(folders.installed('greet/SKILL.md')).toContain('New.');
  expect(folders.installed('weather/SKILL.md')).toContain('Made.');
});

test('what another instance is taking over is left alone', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  const claim = join(folders.setsDir, 'found-00000000-0000-4000-8000-000000000000');
  mkdirSync(claim);
  for (let round = 0; round < 2; round += 1) await folders.skills.reload();
  expect(existsSync(claim)).toBe(true);
  mkdirSync(join(claim, 'late'));
  writeFileSync(join(claim, 'late/SKILL.md'), skillText('late'));
  expect(await folders.skills.reload()).toMatchObject({ user: ['late'] });
});

test('skills are taken over from a .claude that is another file system', async () => {
  const folders = makeSkillFolders();
  const far = mkdtempSync('/dev/shm/picoclaw-test-');
  onTestFinished(() => rmSync(far, { recursive: true, force: true }));
  expect(statSync(far).dev, 'the test needs two file systems').not.toBe(statSync(folders.memoryDir).dev);
  symlinkSync(far, join(folders.memoryDir, '.claude'));
  folders.writeSkill('user', 'recipes');
  await folders.skills.reload();
  folders.writeSkill('run_time', 'greet', { body: 'Say hi.' });
  symlinkSync('SKILL.md', join(folders.dirs.run_time, 'greet/link.md'));
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet', 'recipes'], warnings: [] });
  expect(readlinkSync(join(folders.dirs.user, 'greet/link.md'))).toBe('SKILL.md');
  renameSync(join(folders.dirs.user, 'greet'), join(folders.dirs.user, 'hello'));
  expect(await folders.skills.reload()).toMatchObject({ user: ['hello', 'recipes'] });
});

test('what a process with the old set still open writes there is kept too', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  const old = join(folders.memoryDir, '.claude', folders.current());
  await folders.skills.reload();
  mkdirSync(join(old, 'late'));
  writeFileSync(join(old, 'late/SKILL.md'), skillText('late'));
  folders.ageSets();
  expect(await folders.skills.reload()).toMatchObject({ user: ['late'] });
});
