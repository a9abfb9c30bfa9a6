/** One reload at a time, between the starts of processes, and what becomes of one that fails. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { makeStartSlots } from '../../src/agent/start-slots.ts';
import { makeSkillFolders } from '../support/skill-folders.ts';

/** Calls of the file system that fail, which as root no mode can bring about: `function path` → the code of the error. */
const faults = vi.hoisted(() => new Map<RegExp, { code: string; isDone?: boolean; times?: number }>());
const watch = vi.hoisted(() => ({ call: (_: string): void => undefined }));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs/promises')>();
  const guarded = Object.entries(real).map(([name, member]: [string, unknown]) => {
    if (typeof member !== 'function') return [name, member];
    const call = async (...args: unknown[]) => {
      watch.call(name);
      const [pattern, fault] = [...faults].find(([wanted]) => wanted.test(`${name} ${args[0]}`)) ?? [];
      if (pattern && fault?.times !== undefined && --fault.times === 0) faults.delete(pattern);
      const result: unknown = !fault || fault.isDone ? await Reflect.apply(member, real, args) : null;
      if (fault) throw Object.assign(new Error(`${fault.code}: ${name} ${args[0]}`), { code: fault.code });
      return result;
    };
    return [name, call];
  });
  return Object.fromEntries(guarded);
});

beforeEach(() => faults.clear());

test('no set is swapped while a process is starting, and none starts meanwhile', async () => {
  const slots = makeStartSlots(2);
  const asked = Promise.withResolvers<void>();
  const folders = makeSkillFolders({
    betweenStarts: (work) => {
      const done = slots.betweenStarts(work);
      asked.resolve();
      return done;
    },
  });
  folders.writeSkill('org', 'invoices');
  const never = new AbortController().signal;
  const release = await slots.take(never);
  const reload = folders.skills.reload();
  await asked.promise;
  const seen = slots.take(never).then((releaseLater) => {
    releaseLater?.();
    return folders.names();
  });
  // The rest of the reload would be done in a few turns, were it not waiting.
  for (let turn = 0; turn < 20; turn += 1) await folders.skills.read();
  expect(existsSync(folders.dirs.run_time)).toBe(false);

  release?.();
  await reload;
  expect(await seen).toEqual(['invoices']);
});

test('a reload that is asked for while one is under way is another, and one for all who ask until it begins', async () => {
  const gates: (() => void)[] = [];
  const folders = makeSkillFolders({
    betweenStarts: (work) => new Promise((resolve, reject) => gates.push(() => work().then(resolve, reject))),
  });
  folders.writeSkill('org', 'first');
  const first = folders.skills.reload();
  await expect.poll(() => gates.length).toBe(1);
  // What the first one has read already.
  folders.writeSkill('org', 'second');
  const second = folders.skills.reload();
  const third = folders.skills.reload();
  expect(second).not.toBe(first);
  expect(third).toBe(second);
  gates[0]?.();
  expect((await first).effective).toEqual(['first']);
  await expect.poll(() => gates.length).toBe(2);
  gates[1]?.();
  expect((await second).effective).toEqual(['first', 'second']);
  expect(gates).toHaveLength(2);
});

test('many reloads at once all succeed, and leave one set and the one before', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  const results = await Promise.all(Array.from({ length: 20 }, () => folders.skills.reload()));
  for (const { effective } of results) expect(effective).toEqual(['invoices']);
  expect(readdirSync(folders.setsDir)).toHaveLength(2);
});

test.each([
  ['the organisation’s folder cannot be read', /^readdir .*\/org$/, 'EACCES'],
  ['a skill cannot be copied because the disk is full', /^copyFile .*\/org\/invoices\/SKILL\.md$/, 'ENOSPC'],
  ['the volume cannot be written', /^copyFile .*\/org\/invoices\/more\.md$/, 'EROFS'],
  ['no set can be made', /^mkdir .*\/\.claude\/skill-sets$/, 'EROFS'],
  ['the link cannot be replaced', /^rename .*\.link$/, 'EPERM'],
])(
  'when %s the reload fails as a problem, its cause is in the log, and the set before stays',
  async (_, pattern, code) => {
    const folders = makeSkillFolders();
    folders.writeSkill('org', 'invoices', { body: 'One.' });
    folders.write('org', 'invoices/more.md', 'More.');
    await folders.skills.reload();
    const before = { current: folders.current(), sets: readdirSync(folders.setsDir).sort() };
    folders.writeSkill('org', 'invoices', { body: 'Two.' });
    faults.set(pattern, { code });

    await expect(folders.skills.reload()).rejects.toMatchObject({
      code: 'skills_failed',
      status: 503,
      message: `the skills could not be installed (${code}); those installed before stay`,
    });

    expect({ current: folders.current(), sets: readdirSync(folders.setsDir).sort() }).toEqual(before);
    expect(folders.installed('invoices/SKILL.md')).toContain('One.');
    const logged = folders.log.map((line) => JSON.parse(line)).filter(({ level }) => level === 'error');
    expect(logged).toMatchObject([{ msg: expect.stringContaining('could not be installed'), err: { code } }]);
    faults.clear();
    expect(await folders.skills.reload()).toMatchObject({ effective: ['invoices'] });
    expect(folders.installed('invoices/SKILL.md')).toContain('Two.');
  },
);

test('a step that another instance is in the way of is tried again, but not for ever', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  faults.set(/^rename .*\.link$/, { code: 'ENOENT', times: 2 });
  expect(await folders.skills.reload()).toMatchObject({ org: ['invoices'], warnings: [] });
  faults.set(/^rename .*\.link$/, { code: 'ENOENT', times: 3 });
  await expect(folders.skills.reload()).rejects.toMatchObject({ code: 'skills_failed' });
});

test.each([
  [
    'read',
    /^open .*\/org\/invoices\/SKILL\.md$/,
    'EIO',
    'SKILLS_DIR/invoices is skipped: its SKILL.md cannot be read (EIO)',
  ],
  [
    'copied',
    /^copyFile .*\/org\/invoices\/SKILL\.md$/,
    'ENOENT',
    'could not be copied: SKILL.md cannot be read (ENOENT)',
  ],
  ['opened', /^readdir .*\/org\/invoices$/, 'EIO', 'could not be copied: its folder cannot be read (EIO)'],
  [
    'looked at',
    /^stat .*\/org\/invoices$/,
    'ENAMETOOLONG',
    'SKILLS_DIR/invoices is skipped: it cannot be read (ENAMETOOLONG)',
  ],
])('a skill that cannot be %s is not installed, and hinders no other', async (_, pattern, code, message) => {
  const folders = makeSkillFolders();
  for (const name of ['invoices', 'letters']) folders.writeSkill('org', name);
  faults.set(pattern, { code });
  const result = await folders.skills.reload();
  expect(result.effective).toEqual(['letters']);
  expect(folders.names()).toEqual(['letters']);
  expect(folders.warningsOf(result, 'invoices')).toEqual([expect.stringMatching(message.replace(/[().]/g, '\\$&'))]);
});

test('between starts nothing is read or copied, whatever the agent has made', async () => {
  const calls: string[] = [];
  let isBetween = false;
  const folders = makeSkillFolders({
    betweenStarts: async (work) => {
      isBetween = true;
      return await work().finally(() => {
        isBetween = false;
      });
    },
  });
  watch.call = (name) => {
    if (isBetween) calls.push(name);
  };
  folders.writeSkill('built_in', 'notes');
  folders.writeSkill('user', 'greet', { body: 'Old.' });
  folders.writeSkill('run_time', 'weather');
  await folders.skills.reload();
  rmSync(join(folders.dirs.run_time, 'greet'));
  folders.writeSkill('run_time', 'greet', { body: 'New.' });
  await folders.skills.reload();
  watch.call = () => undefined;
  const allowed = ['lstat', 'mkdir', 'readdir', 'readlink', 'realpath', 'rename', 'symlink'];
  expect([...new Set(calls)].sort()).toEqual(allowed);
});

test('a swap that is done though it is said to have failed, as over NFS, is not undone', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices', { body: 'One.' });
  await folders.skills.reload();
  folders.writeSkill('org', 'invoices', { body: 'Two.' });
  faults.set(/^rename .*\.link$/, { code: 'EIO', isDone: true });
  await expect(folders.skills.reload()).rejects.toMatchObject({ code: 'skills_failed' });
  expect(folders.installed('invoices/SKILL.md')).toContain('Two.');
});

test('where links cannot be made, the folder of 1.x stays where it is', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('run_time', 'greet');
  faults.set(/^symlink /, { code: 'EPERM' });
  await expect(folders.skills.reload()).rejects.toMatchObject({ message: expect.stringContaining('(EPERM)') });
  expect(folders.names()).toEqual(['greet']);
  expect(await folders.skills.read()).toMatchObject({ effective: ['greet'] });
});

test('a source that is a file is a fault of the setting, not an empty source', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  await folders.skills.reload();
  rmSync(folders.dirs.org, { recursive: true });
  writeFileSync(folders.dirs.org, 'x');
  await expect(folders.skills.reload()).rejects.toMatchObject({
    code: 'skills_failed',
    message: expect.stringContaining('ENOTDIR'),
  });
  expect(await folders.skills.read()).toMatchObject({ effective: ['invoices'] });
});

test('a file in the place of the installed set is moved to the user skills', async () => {
  const folders = makeSkillFolders();
  folders.writeSkill('org', 'invoices');
  mkdirSync(join(folders.memoryDir, '.claude'));
  writeFileSync(folders.dirs.run_time, 'of somebody');
  const result = await folders.skills.reload();
  expect(result.effective).toEqual(['invoices']);
  expect(readFileSync(join(folders.dirs.user, 'skills'), 'utf8')).toBe('of somebody');
  expect(folders.warningsOf(result, 'skills')).toContainEqual(
    expect.stringContaining('is kept as MEMORY_DIR/skills/skills'),
  );
});

test('a skill that may not be read is skipped, and a part of one is left out, with a warning', async () => {
  const folders = makeSkillFolders();
  for (const name of ['secret', 'hidden', 'open']) folders.writeSkill('org', name);
  for (const path of ['open/terms.md', 'open/deep/more.md']) folders.write('org', path, 'x');
  symlinkSync('/etc/hostname', join(folders.dirs.org, 'open/host'));
  faults.set(/^open .*secret\/SKILL\.md$/, { code: 'EACCES' });
  faults.set(/^stat .*hidden\/SKILL\.md$/, { code: 'EPERM' });
  faults.set(/^copyFile .*open\/terms\.md$/, { code: 'EACCES' });
  faults.set(/^readdir .*open\/deep$/, { code: 'EACCES' });
  faults.set(/^stat .*open\/host$/, { code: 'EACCES' });

  const result = await folders.skills.reload();

  expect(result.org).toEqual(['open']);
  const right = "give the server's user the right to";
  expect(folders.warningsOf(result, 'secret')).toEqual([
    `SKILLS_DIR/secret is skipped: its SKILL.md cannot be read (EACCES); ${right}`,
  ]);
  expect(folders.warningsOf(result, 'hidden')).toEqual([
    `SKILLS_DIR/hidden is skipped: its SKILL.md cannot be read (EPERM); ${right}`,
  ]);
  expect(folders.warningsOf(result, 'open').sort()).toEqual(
    ['deep', 'host', 'terms.md'].map(
      (part) => `is installed without a part: ${part} cannot be read (EACCES); ${right}`,
    ),
  );
});

test('sets that cannot be removed are told of in the log, and the reload is good', async () => {
  const folders = makeSkillFolders();
  await folders.skills.reload();
  await folders.skills.reload();
  const old = readdirSync(folders.setsDir).find((name) => !name.endsWith('.json') && !folders.current().endsWith(name));
  folders.ageSets();
  faults.set(new RegExp(`^rm .*${old}$`), { code: 'EBUSY' });
  folders.writeSkill('org', 'invoices');
  expect(await folders.skills.reload()).toMatchObject({ effective: ['invoices'] });
  const warned = folders.log.map((line) => JSON.parse(line)).filter(({ level }) => level === 'warn');
  expect(warned).toMatchObject([{ msg: expect.stringContaining('could not be removed'), err: { code: 'EBUSY' } }]);
});
