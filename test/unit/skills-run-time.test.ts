/** What the agent makes, edits and removes among the installed skills, and what becomes of it with a reload. */

import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
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

test('a file that the agent leaves among the skills takes the place of none elsewhere, wherever it has led the user skills', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes');
  await folders.skills.reload();
  const elsewhere = join(folders.memoryDir, '../elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'messages.db'), 'all that was said');
  rmSync(folders.dirs.user, { recursive: true });
  symlinkSync(elsewhere, folders.dirs.user);
  folders.write('run_time', 'messages.db', 'planted');
  folders.write('run_time', 'new/SKILL.md', 'planted');

  await expect(folders.skills.reload()).rejects.toMatchObject({ code: 'skills_failed' });

  expect(readdirSync(elsewhere)).toEqual(['messages.db']);
  expect(readFileSync(join(elsewhere, 'messages.db'), 'utf8')).toBe('all that was said');
  expect(folders.log.join('')).toContain(
    `MEMORY_DIR/skills is a link that leads out of MEMORY_DIR, to ${realpathSync(elsewhere)}`,
  );
  expect((await folders.skills.read()).builtIn).toEqual(['notes']);
});

test('nor does it when the agent leads them elsewhere in the middle of a reload', async () => {
  let lead: () => void = () => undefined;
  const folders = makeSkillFolders({
    betweenStarts: (work) => {
      lead();
      return work();
    },
  });
  await folders.skills.reload();
  const elsewhere = join(folders.memoryDir, '../elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, 'messages.db'), 'all that was said');
  writeFileSync(join(folders.dirs.user, 'messages.db'), 'a file that is to be replaced');
  folders.write('run_time', 'messages.db', 'planted');
  lead = () => {
    rmSync(folders.dirs.user, { recursive: true });
    symlinkSync(elsewhere, folders.dirs.user);
  };

  await expect(folders.skills.reload()).rejects.toMatchObject({ code: 'skills_failed' });

  expect(readdirSync(elsewhere)).toEqual(['messages.db']);
  expect(readFileSync(join(elsewhere, 'messages.db'), 'utf8')).toBe('all that was said');
});

test('nothing is removed where the agent has led the sets', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  const elsewhere = join(folders.memoryDir, '../elsewhere');
  const theirs = join(elsewhere, '00000000-0000-4000-8000-000000000000');
  mkdirSync(theirs, { recursive: true });
  rmSync(folders.setsDir, { recursive: true });
  symlinkSync(elsewhere, folders.setsDir);
  folders.ageSets();

  await expect(folders.skills.reload()).rejects.toMatchObject({ code: 'skills_failed' });

  expect(readdirSync(elsewhere)).toEqual([basename(theirs)]);
  expect(folders.log.join('')).toContain('MEMORY_DIR/.claude/skill-sets is a link; remove it');
});

test('an edit of an installed built-in skill ends with the reload', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  await folders.skills.reload();
  folders.writeSkill('run_time', 'notes', { body: 'As I like it.' });
  folders.write('run_time', 'notes/state.json', '{}');
  expect(await folders.skills.reload()).toMatchObject({ builtIn: ['notes'], user: [], warnings: [] });
  expect(folders.installed('notes/SKILL.md')).toContain('Built in.');
  expect(existsSync(join(folders.dirs.run_time, 'notes/state.json'))).toBe(false);
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
  // The one that found it, the one that took it over, and the swap.
  expect(work).toBe(4);
});

test('a pipe in the place of an installed SKILL.md, of a manifest or of both is nothing to wait for', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  folders.writeSkill('user', 'greet');
  await folders.skills.reload();
  const manifest = join(folders.setsDir, `${folders.current().replace('skill-sets/', '')}.json`);
  for (const path of [join(folders.dirs.run_time, 'notes/SKILL.md'), manifest]) {
    rmSync(path);
    execFileSync('mkfifo', [path]);
  }
  expect(await folders.skills.reload()).toMatchObject({ builtIn: ['notes'], user: ['greet'] });
  expect(folders.installed('notes/SKILL.md')).toContain('Built in.');
});

test('what the agent or the operator named .picoclaw-something is left alone', async () => {
  const folders = makeSkillFolders();
  folders.write('user', '.picoclaw-notes/important.md', 'x');
  folders.ageSets();
  await folders.skills.reload();
  expect(inUser(folders, '.picoclaw-notes/important.md')).toBe('x');
});

test('a skill that was broken and is written anew gets its name, and what was there another', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.write('run_time', 'mine/SKILL.md', 'no front matter');
  await folders.skills.reload();
  writeFileSync(join(folders.dirs.user, 'mine/data.txt'), 'kept');
  rmSync(join(folders.dirs.run_time, 'mine'), { force: true });
  folders.writeSkill('run_time', 'mine', { body: 'Good.' });
  const result = await folders.skills.reload();
  expect(result.user).toEqual(['mine']);
  expect(inUser(folders, 'mine/SKILL.md')).toContain('Good.');
  expect(inUser(folders, 'mine-2/data.txt')).toBe('kept');
});

test('of a skill and what is none by the same name the skill gets the name, and nothing is lost', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  folders.write('user', 'mine/draft.txt', 'by the user');
  folders.writeSkill('run_time', 'mine', { body: 'Good.' });
  const result = await folders.skills.reload();
  expect(result.user).toEqual(['mine']);
  expect(inUser(folders, 'mine/SKILL.md')).toContain('Good.');
  expect(inUser(folders, 'mine-2/draft.txt')).toBe('by the user');
  expect(folders.warningsOf(result, 'mine')).toEqual([
    expect.stringContaining('what was there is no skill, and is mine-2 now'),
  ]);
});

test('a file that is no skill and is made again and again is kept once, as it was last', async () => {
  const folders = makeSkillFolders();
  for (const text of ['One.', 'Two.', 'Two.', 'Three.']) {
    await folders.skills.reload();
    folders.write('run_time', 'README.md', text);
  }
  await folders.skills.reload();
  expect(readdirSync(folders.dirs.user)).toEqual(['README.md']);
  expect(inUser(folders, 'README.md')).toBe('Three.');
});

test('an installed user skill that the agent gives another name has it afterwards', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('user', 'foo', { name: 'bar', body: 'Mine.' });
  await folders.skills.reload();
  renameSync(join(folders.dirs.run_time, 'foo'), join(folders.dirs.run_time, 'bar'));
  expect(await folders.skills.reload()).toMatchObject({ user: ['bar'], warnings: [] });
  expect(readdirSync(folders.dirs.user)).toEqual(['bar']);
  expect(folders.installed('bar/SKILL.md')).toContain('Mine.');
});

test('what cannot be taken over stays in its set, is told of, and hinders no other skill', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  await folders.skills.reload();
  // Node reads the name with another character, and finds nothing by it.
  const odd = Buffer.concat([Buffer.from(`${folders.dirs.run_time}/`), Buffer.from([0x67, 0xff])]);
  mkdirSync(odd);
  const set = join(folders.memoryDir, '.claude', folders.current());
  for (let round = 0; round < 3; round += 1) {
    const result = await folders.skills.reload();
    expect(result.effective).toEqual(['invoices']);
    expect(folders.warningsOf(result, 'g\uFFFD')).toEqual([expect.stringContaining('its name is not UTF-8')]);
    expect(existsSync(set)).toBe(true);
  }
});
