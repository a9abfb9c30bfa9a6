/** What the agent makes, edits and removes among the installed skills, and what becomes of it with a reload. */

import {
  appendFileSync,
  cpSync,
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

function inUser(folders: SkillFolders, path: string): string {
  return readFileSync(join(folders.dirs.user, path), 'utf8');
}

test('a skill that the agent has made is listed at once, and is a user skill after the reload', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  await folders.skills.reload();
  folders.writeSkill('run_time', 'greet', { body: 'Say hi.' });
  folders.write('run_time', 'greet/words/hello.txt', 'hello');
  expect(await folders.skills.read()).toMatchObject({
    org: ['invoices'],
    user: ['greet'],
    effective: ['greet', 'invoices'],
  });

  expect(await folders.skills.reload()).toMatchObject({
    user: ['greet'],
    effective: ['greet', 'invoices'],
    warnings: [],
  });
  expect(inUser(folders, 'greet/words/hello.txt')).toBe('hello');
  expect(folders.installed('greet/SKILL.md')).toContain('Say hi.');
});

test('edits of such a skill after a reload are kept by every later one, whichever way they were made', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.writeSkill('run_time', 'greet', { body: 'First.' });
  await folders.skills.reload();
  folders.writeSkill('run_time', 'greet', { body: 'Second.' });
  folders.write('run_time', 'greet/more.md', 'More.');
  await folders.skills.reload();
  expect(folders.installed('greet/SKILL.md')).toContain('Second.');
  folders.writeSkill('user', 'greet', { body: 'Third.' });
  await folders.skills.reload();
  await folders.skills.reload();
  expect(folders.installed('greet/SKILL.md')).toContain('Third.');
  expect(folders.installed('greet/more.md')).toBe('More.');
  expect(readdirSync(folders.dirs.user)).toEqual(['greet']);
});

test('a skill that the agent is still writing is kept, and the rest of it comes to the same place', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.write('run_time', 'greet/words.txt', 'hello');
  const result = await folders.skills.reload();
  expect(result).toMatchObject({
    effective: [],
    warnings: [{ skill: 'greet', message: 'MEMORY_DIR/skills/greet is skipped: it has no SKILL.md' }],
  });
  expect(inUser(folders, 'greet/words.txt')).toBe('hello');

  folders.writeSkill('run_time', 'greet', { body: 'Say hi.' });
  expect(await folders.skills.read()).toMatchObject({ user: ['greet'] });
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
  expect(readdirSync(join(folders.dirs.user, 'greet')).sort()).toEqual(['SKILL.md', 'words.txt']);
});

test('whatever else the agent has put there is kept as well', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.write('run_time', 'README.md', 'My skills.');
  folders.write('run_time', '.git/HEAD', 'ref');
  folders.write('run_time', 'faulty/SKILL.md', 'no front matter');
  const result = await folders.skills.reload();
  expect(result.effective).toEqual([]);
  expect(result.warnings.map(({ skill }) => skill).sort()).toEqual(['.git', 'README.md', 'faulty']);
  expect(inUser(folders, 'README.md')).toBe('My skills.');
  expect(inUser(folders, '.git/HEAD')).toBe('ref');
  expect(inUser(folders, 'faulty/SKILL.md')).toBe('no front matter');
  expect(folders.names()).toEqual([]);
});

test('a name that is taken in the memory folder is not overwritten: the agent’s is kept under another', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  // Put there by the user after the reload, so that it is not installed yet.
  folders.writeSkill('user', 'greet', { body: 'By the user.' });
  folders.writeSkill('user', 'greet-2', { body: 'By the user, too.' });
  folders.writeSkill('run_time', 'greet', { body: 'By the agent.' });
  const result = await folders.skills.reload();
  expect(result.user).toEqual(['greet', 'greet-2', 'greet-3']);
  expect(folders.warningsOf(result, 'greet')).toEqual([
    '.claude/skills/greet is kept as MEMORY_DIR/skills/greet-3, because there is another greet',
  ]);
  expect(inUser(folders, 'greet/SKILL.md')).toContain('By the user.');
  expect(inUser(folders, 'greet-2/SKILL.md')).toContain('By the user, too.');
  expect(inUser(folders, 'greet-3/SKILL.md')).toContain('By the agent.');
});

test('a copy of what is in the memory folder already is not kept twice', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.writeSkill('user', 'greet');
  folders.write('user', 'greet/words/hello.txt', 'hello');
  cpSync(join(folders.dirs.user, 'greet'), join(folders.dirs.run_time, 'greet'), { recursive: true });
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
  expect(readdirSync(folders.dirs.user)).toEqual(['greet']);
});

test('a skill that the agent has written anew in the place of the link replaces the one in the memory folder', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('user', 'greet', { body: 'Old.' });
  folders.write('user', 'greet/old.txt', 'old');
  await folders.skills.reload();
  rmSync(join(folders.dirs.run_time, 'greet'));
  folders.writeSkill('run_time', 'greet', { body: 'New.' });
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
  expect(inUser(folders, 'greet/SKILL.md')).toContain('New.');
  expect(readdirSync(folders.dirs.user)).toEqual(['greet']);
  expect(readdirSync(join(folders.dirs.user, 'greet'))).toEqual(['SKILL.md']);
});

test('what it put there and is no skill replaces nothing', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('user', 'greet', { body: 'Good.' });
  await folders.skills.reload();
  rmSync(join(folders.dirs.run_time, 'greet'));
  folders.write('run_time', 'greet/draft.txt', 'not yet');
  const result = await folders.skills.reload();
  expect(result.user).toEqual(['greet']);
  expect(inUser(folders, 'greet/SKILL.md')).toContain('Good.');
  expect(inUser(folders, 'greet-2/draft.txt')).toBe('not yet');
  expect(folders.warningsOf(result, 'greet')).toEqual([expect.stringContaining('kept as MEMORY_DIR/skills/greet-2')]);
});

test('a link that the agent has made is kept as a link; one that leads nowhere is dropped with a warning', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes');
  await folders.skills.reload();
  const project = join(folders.memoryDir, 'project/greet');
  mkdirSync(project, { recursive: true });
  writeFileSync(join(project, 'SKILL.md'), skillText('greet', { body: 'In the project.' }));
  symlinkSync(project, join(folders.dirs.run_time, 'greet'));
  symlinkSync('gone', join(folders.dirs.run_time, 'lost'));
  symlinkSync('notes', join(folders.dirs.run_time, 'alias'));

  const result = await folders.skills.reload();

  expect(result).toMatchObject({ builtIn: ['notes'], user: ['greet'] });
  expect(readlinkSync(join(folders.dirs.user, 'greet'))).toBe('../project/greet');
  expect(folders.installed('greet/SKILL.md')).toContain('In the project.');
  expect(folders.warningsOf(result, 'lost')).toEqual([
    '.claude/skills/lost is a link that leads nowhere, and is dropped',
  ]);
  expect(folders.warningsOf(result, 'alias')).toEqual([
    '.claude/skills/alias is a link to another skill, and is dropped',
  ]);
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
});

test.each([
  ['its SKILL.md', (folders: SkillFolders) => folders.writeSkill('run_time', 'notes', { body: 'As I like it.' })],
  ['a file more', (folders: SkillFolders) => folders.write('run_time', 'notes/state.json', '{}')],
])('an edit of an installed built-in skill (%s) ends with the reload, and is told of', async (_, edit) => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  folders.write('built_in', 'notes/deep/more.md', 'More.');
  await folders.skills.reload();
  edit(folders);
  const result = await folders.skills.reload();
  expect(folders.warningsOf(result, 'notes')).toEqual([
    '.claude/skills/notes was edited, and is now as its source has it; keep changes under another name',
  ]);
  expect(folders.installed('notes/SKILL.md')).toContain('Built in.');
  expect(existsSync(join(folders.dirs.run_time, 'notes/state.json'))).toBe(false);
  expect(await folders.skills.reload()).toMatchObject({ builtIn: ['notes'], warnings: [] });
});

test('an installed skill that the agent has removed is there again after the reload; of a user skill it is said how to be rid of it', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  folders.writeSkill('user', 'greet');
  await folders.skills.reload();
  for (const name of ['invoices', 'greet']) rmSync(join(folders.dirs.run_time, name), { recursive: true });
  expect(await folders.skills.read()).toMatchObject({ effective: [] });
  expect(await folders.skills.reload()).toMatchObject({
    effective: ['greet', 'invoices'],
    warnings: [
      {
        skill: 'greet',
        message:
          '.claude/skills/greet was removed, and is installed again; to be rid of it remove MEMORY_DIR/skills/greet',
      },
    ],
  });
});

test('a skill that breaks while it is installed is not listed any more, and it is said why', async () => {
  const folders = makeSkillFolders();
  for (const name of ['greet', 'gone', 'empty']) folders.writeSkill('user', name);
  await folders.skills.reload();
  folders.write('user', 'greet/SKILL.md', 'no front matter');
  rmSync(join(folders.dirs.user, 'gone'), { recursive: true });
  rmSync(join(folders.dirs.user, 'empty/SKILL.md'));
  const { effective, warnings } = await folders.skills.read();
  expect(effective).toEqual([]);
  expect(warnings).toEqual([
    { skill: 'empty', message: '.claude/skills/empty is no skill any more: it has no SKILL.md' },
    { skill: 'gone', message: '.claude/skills/gone is no skill any more: it is a link that leads nowhere' },
    { skill: 'greet', message: expect.stringContaining('SKILL.md has no front matter') },
  ]);
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

test('a skill that the agent makes while the new set is being built is in it', async () => {
  let work = 0;
  const folders = makeSkillFolders({
    betweenStarts: (swap) => {
      work += 1;
      // The set of the second reload has been built.
      if (work === 2) folders.writeSkill('run_time', 'greet', { body: 'Just in time.' });
      return swap();
    },
  });
  await folders.skills.reload();
  expect(work).toBe(1);
  expect(await folders.skills.reload()).toMatchObject({ user: ['greet'], warnings: [] });
  expect(folders.installed('greet/SKILL.md')).toContain('Just in time.');
  expect(work).toBe(3);
});

test('the folder of a 1.x volume is taken over: what is in no source is kept, copies of sources are not', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Of version 2.' });
  folders.writeSkill('org', 'invoices', { body: 'Now.' });
  folders.writeSkill('user', 'recipes', { body: 'Cook.' });
  folders.writeSkill('user', 'greet', { body: 'As it was saved.' });
  folders.writeSkill('run_time', 'notes', { body: 'Of version 1.' });
  folders.writeSkill('run_time', 'invoices', { body: 'Then.' });
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
    '.claude/skills/weather is in no source, and is kept as MEMORY_DIR/skills/weather',
  ]);
  expect(folders.warningsOf(result, 'recipes')).toEqual([]);
  expect(lstatSync(folders.dirs.run_time).isSymbolicLink()).toBe(true);

  rmSync(join(folders.dirs.org, 'invoices'), { recursive: true });
  expect(await folders.skills.reload()).toMatchObject({ org: [], user: ['greet', 'greet-2', 'recipes', 'weather'] });
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
  ['has a manifest that cannot be read', (folders: SkillFolders) => breakManifests(folders)],
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

function breakManifests({ setsDir }: SkillFolders): void {
  for (const name of readdirSync(setsDir)) if (name.endsWith('.json')) appendFileSync(join(setsDir, name), '}');
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

test('a set that another instance may be building now is left alone', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  const other = '00000000-0000-4000-8000-000000000000';
  mkdirSync(join(folders.setsDir, other));
  await folders.skills.reload();
  expect(readdirSync(folders.setsDir)).toContain(other);
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
