/** What is installed from the three sources, what is not, and what is said of it. */

import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeSkillFolders } from '../support/skill-folders.ts';

test('with no source and an empty memory folder nothing is installed, and nothing is wrong', async () => {
  const { skills, names } = makeSkillFolders();
  const none = { builtIn: [], org: [], user: [], effective: [], warnings: [] };
  expect(await skills.read()).toEqual(none);
  expect(await skills.reload()).toEqual(none);
  expect(names()).toEqual([]);
});

test('the skills of all three sources are installed, with all that is in their folders', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Keep notes.' });
  folders.writeSkill('org', 'invoices', { body: 'Write invoices.' });
  folders.write('org', 'invoices/scripts/total.sh', 'echo 42');
  chmodSync(join(folders.dirs.org, 'invoices/scripts/total.sh'), 0o755);
  folders.writeSkill('user', 'recipes', { body: 'Cook.' });
  const installed = {
    builtIn: ['notes'],
    org: ['invoices'],
    user: ['recipes'],
    effective: ['invoices', 'notes', 'recipes'],
    warnings: [],
  };
  expect(await folders.skills.reload()).toEqual(installed);
  expect(await folders.skills.read()).toEqual(installed);
  expect(folders.names()).toEqual(['invoices', 'notes', 'recipes']);
  expect(folders.installed('notes/SKILL.md')).toContain('Keep notes.');
  expect(folders.installed('recipes/SKILL.md')).toContain('Cook.');
  const script = join(folders.dirs.run_time, 'invoices/scripts/total.sh');
  expect(execFileSync(script, { shell: '/bin/sh', encoding: 'utf8' }).trim()).toBe('42');
});

test('an organisation’s skill takes the place of the built-in one whole', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  folders.write('built_in', 'notes/only-built-in.md', 'x');
  folders.writeSkill('org', 'notes', { body: 'Ours.' });
  expect(await folders.skills.reload()).toMatchObject({ builtIn: [], org: ['notes'], warnings: [] });
  expect(folders.installed('notes/SKILL.md')).toContain('Ours.');
  expect(() => folders.installed('notes/only-built-in.md')).toThrow('ENOENT');
});

test('a user’s skill takes only a name that is free', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  folders.writeSkill('org', 'invoices', { body: 'Ours.' });
  for (const name of ['notes', 'invoices', 'recipes']) folders.writeSkill('user', name, { body: 'Mine.' });
  const result = await folders.skills.reload();
  expect(result).toMatchObject({ builtIn: ['notes'], org: ['invoices'], user: ['recipes'] });
  expect(folders.warningsOf(result, 'notes')).toEqual([
    'MEMORY_DIR/skills/notes is skipped: the built-in skill of this name goes before it; rename the folder to have both',
  ]);
  expect(folders.warningsOf(result, 'invoices')).toEqual([
    expect.stringContaining("the organisation's skill of this name"),
  ]);
  expect(folders.installed('notes/SKILL.md')).toContain('Built in.');
  expect(readFileSync(join(folders.dirs.user, 'notes/SKILL.md'), 'utf8')).toContain('Mine.');
});

test('a skill that cannot be taken leaves its name to the one behind it', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'notes', { body: 'Built in.' });
  folders.write('org', 'notes/SKILL.md', 'no front matter');
  folders.write('org', 'recipes/README.md', 'no SKILL.md');
  folders.writeSkill('user', 'recipes', { body: 'Mine.' });
  const result = await folders.skills.reload();
  expect(result).toMatchObject({ builtIn: ['notes'], org: [], user: ['recipes'] });
  expect(folders.warningsOf(result, 'notes')).toEqual([
    expect.stringMatching(/^SKILLS_DIR\/notes is skipped: SKILL\.md has no front/),
  ]);
});

test('a skill that is gone from its source is gone with the next reload, of whichever source', async () => {
  const folders = makeSkillFolders();
  for (const where of ['built_in', 'org', 'user'] as const) folders.writeSkill(where, `${where}-gone`);
  folders.writeSkill('org', 'stays');
  await folders.skills.reload();
  for (const where of ['built_in', 'org', 'user'] as const)
    rmSync(join(folders.dirs[where], `${where}-gone`), { recursive: true });
  expect(await folders.skills.reload()).toMatchObject({ effective: ['stays'], warnings: [] });
  // Nor does it come back as the agent's own.
  expect(await folders.skills.reload()).toMatchObject({ effective: ['stays'], warnings: [] });
  expect(folders.names()).toEqual(['stays']);
});

test('a source that is gone altogether is an empty one', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  await folders.skills.reload();
  rmSync(folders.dirs.org, { recursive: true });
  expect(await folders.skills.reload()).toMatchObject({ effective: [], warnings: [] });
});

test.each<[string, (dir: string) => void, string]>([
  ['a file', (dir) => writeFileSync(join(dir, 'odd'), 'x'), 'a skill is a folder with a SKILL.md in it'],
  ['a folder without SKILL.md', (dir) => mkdirSync(join(dir, 'odd')), 'it has no SKILL.md'],
  ['a link that leads nowhere', (dir) => symlinkSync('gone', join(dir, 'odd')), 'it is a link that leads nowhere'],
  ['a link to itself', (dir) => symlinkSync('odd', join(dir, 'odd')), 'it is a link that leads nowhere'],
  [
    'a folder whose SKILL.md leads nowhere',
    (dir) => {
      mkdirSync(join(dir, 'odd'));
      symlinkSync('gone', join(dir, 'odd/SKILL.md'));
    },
    'its SKILL.md is a link that leads nowhere',
  ],
  [
    'a folder whose SKILL.md is a folder',
    (dir) => mkdirSync(join(dir, 'odd/SKILL.md'), { recursive: true }),
    'its SKILL.md is not a file',
  ],
  [
    'a folder whose SKILL.md is a named pipe',
    (dir) => {
      mkdirSync(join(dir, 'odd'));
      execFileSync('mkfifo', [join(dir, 'odd/SKILL.md')]);
    },
    'its SKILL.md is not a file',
  ],
  [
    'a folder whose SKILL.md is huge',
    (dir) => {
      mkdirSync(join(dir, 'odd'));
      writeFileSync(join(dir, 'odd/SKILL.md'), Buffer.alloc(1_000_001));
    },
    'its SKILL.md has more than 1000000 bytes',
  ],
])('%s is skipped with a warning, in every source', async (_, make, fault) => {
  const folders = makeSkillFolders();
  folders.writeSkill('built_in', 'stays');
  for (const where of ['built_in', 'org', 'user'] as const) {
    mkdirSync(folders.dirs[where], { recursive: true });
    make(folders.dirs[where]);
  }
  const result = await folders.skills.reload();
  expect(result.effective).toEqual(['stays']);
  expect(folders.warningsOf(result, 'odd')).toEqual(
    ['BUILT_IN_SKILLS_DIR', 'SKILLS_DIR', 'MEMORY_DIR/skills'].map((label) => `${label}/odd is skipped: ${fault}`),
  );
  expect(await folders.skills.read()).toEqual(result);
});

test.each([
  ['.git', 'it is hidden, and what begins with a dot is never a skill'],
  ['lost+found', 'it has no SKILL.md'],
  [' ahead', 'its name has white space at an end or a control character; rename the folder'],
  ['behind ', 'its name has white space at an end or a control character; rename the folder'],
  ['two\nlines', 'its name has white space at an end or a control character; rename the folder'],
])('a folder named %j is skipped with a warning', async (name, fault) => {
  const folders = makeSkillFolders();
  if (name === 'lost+found') mkdirSync(join(folders.dirs.org, name), { recursive: true });
  else folders.writeSkill('org', name, { name: 'odd' });
  const result = await folders.skills.reload();
  expect(result).toMatchObject({
    effective: [],
    warnings: [{ skill: name, message: `SKILLS_DIR/${name} is skipped: ${fault}` }],
  });
});

test('names that the agent can load are taken, however odd', async () => {
  const folders = makeSkillFolders();
  const odd = [
    'With Space',
    '中文技能',
    'Upper',
    'col:on',
    '__proto__',
    'constructor',
    'q\'uo"te',
    '-dash',
    '😀',
  ].sort();
  for (const name of odd) folders.writeSkill('org', name, { name: JSON.stringify(name) });
  expect(await folders.skills.reload()).toMatchObject({ org: odd, effective: odd, warnings: [] });
});

test.each([
  ['upper case', 'greet', 'Greet'],
  ['the way an accent is written', 'caf\u00e9', 'cafe\u0301'],
])('of two names that differ only in %s one is installed, and a user’s takes neither', async (_, one, other) => {
  const folders = makeSkillFolders();
  for (const name of [one, other]) folders.writeSkill('org', name, { name: 'any' });
  folders.writeSkill('user', other, { name: 'any' });
  const result = await folders.skills.reload();
  const [first = '', second = ''] = [one, other].sort();
  expect(result.effective).toEqual([first]);
  expect(folders.warningsOf(result, second)).toContainEqual(
    `SKILLS_DIR/${second} is skipped: ${first} has the same name but for upper case or accents; rename one of them`,
  );
  expect(folders.warningsOf(result, other)).toContainEqual(
    expect.stringContaining("the organisation's skill of this name goes before it"),
  );
});

test('a file of /proc in the place of a file of a skill is taken for empty', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  mkdirSync(join(folders.dirs.org, 'memory'));
  symlinkSync('/proc/self/pagemap', join(folders.dirs.org, 'invoices/pages'));
  symlinkSync('/proc/self/pagemap', join(folders.dirs.org, 'memory/SKILL.md'));
  const result = await folders.skills.reload();
  expect(result).toMatchObject({
    effective: ['invoices'],
    warnings: [{ skill: 'memory', message: expect.stringContaining('has no front matter') }],
  });
  expect(folders.installed('invoices/pages')).toBe('');
});

test('a link to a folder is a skill like another', async () => {
  const folders = makeSkillFolders();
  folders.write('org', '.data/invoices/SKILL.md', '---\nname: invoices\ndescription: About\n---\nLinked.');
  symlinkSync('.data/invoices', join(folders.dirs.org, 'invoices'));
  folders.write('built_in', '../elsewhere/recipes/SKILL.md', '---\nname: recipes\ndescription: About\n---\nLinked.');
  mkdirSync(folders.dirs.user, { recursive: true });
  symlinkSync('../../elsewhere/recipes', join(folders.dirs.user, 'recipes'));
  expect(await folders.skills.reload()).toMatchObject({ org: ['invoices'], user: ['recipes'] });
  expect(folders.installed('invoices/SKILL.md')).toContain('Linked.');
  expect(folders.installed('recipes/SKILL.md')).toContain('Linked.');
});

test('a copy stands alone: links in a skill are followed, and what leads nowhere or round in a circle is left out and named', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  folders.write('org', '../shared/terms.md', 'The terms.');
  const skill = join(folders.dirs.org, 'invoices');
  symlinkSync('../../shared', join(skill, 'shared'));
  symlinkSync('../../shared/terms.md', join(skill, 'terms.md'));
  symlinkSync('gone.md', join(skill, 'dangling'));
  symlinkSync('..', join(skill, 'shared-circle'));
  mkdirSync(join(skill, 'deep'));
  symlinkSync('..', join(skill, 'deep/circle'));
  execFileSync('mkfifo', [join(skill, 'pipe')]);

  const result = await folders.skills.reload();

  expect(result.org).toEqual(['invoices']);
  expect(folders.installed('invoices/terms.md')).toBe('The terms.');
  expect(folders.installed('invoices/shared/terms.md')).toBe('The terms.');
  expect(lstatSync(join(folders.dirs.run_time, 'invoices/shared')).isSymbolicLink()).toBe(false);
  expect(folders.warningsOf(result, 'invoices').sort()).toEqual(
    [
      'dangling is a link that leads nowhere',
      'deep/circle is a link to a folder that it is in',
      'pipe is neither a file nor a folder',
      'shared-circle/invoices is a link to a folder that it is in',
    ].map((part) => `is installed without a part: ${part}`),
  );
});

test('a name in SKILL.md that is not the folder’s is told of, and the folder’s counts', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices', { name: 'bills' });
  expect(await folders.skills.reload()).toMatchObject({
    effective: ['invoices'],
    warnings: [
      {
        skill: 'invoices',
        message:
          'SKILLS_DIR/invoices is installed, but SKILL.md gives the name "bills"; the agent knows the skill by its folder, "invoices"',
      },
    ],
  });
});

test('what is said is also in the log', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  folders.write('org', 'drafts/notes.md', 'x');
  await folders.skills.reload();
  const lines = folders.log.map((line) => JSON.parse(line));
  expect(lines).toContainEqual(
    expect.objectContaining({
      level: 'warn',
      skill: 'drafts',
      msg: 'SKILLS_DIR/drafts is skipped: it has no SKILL.md',
    }),
  );
  expect(lines).toContainEqual(
    expect.objectContaining({ level: 'info', skills: ['invoices'], msg: 'skills are installed' }),
  );
});

test('user skills hold wherever the volume is mounted, and where .claude is a link', async () => {
  const folders = makeSkillFolders();
  mkdirSync(join(folders.memoryDir, '../far/away'), { recursive: true });
  symlinkSync('../far/away', join(folders.memoryDir, '.claude'));
  folders.writeSkill('user', 'recipes', { body: 'Cook.' });
  expect(await folders.skills.reload()).toMatchObject({ user: ['recipes'] });
  expect(folders.installed('recipes/SKILL.md')).toContain('Cook.');

  const plain = makeSkillFolders();
  plain.writeSkill('user', 'recipes', { body: 'Cook.' });
  await plain.skills.reload();
  const moved = `${plain.memoryDir}-moved`;
  renameSync(plain.memoryDir, moved);
  expect(statSync(join(moved, '.claude/skills/recipes/SKILL.md')).isFile()).toBe(true);
});
