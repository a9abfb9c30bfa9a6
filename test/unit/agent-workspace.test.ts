/** What of the workspace makes a live process outdated. */

import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { markWorkspace } from '../../src/agent/workspace.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

type Place = { memoryDir: string; sessionsDir: string };

const changes: [string, (place: Place) => Promise<unknown>][] = [
  ['the persona is changed', ({ memoryDir }) => writeFile(join(memoryDir, 'CLAUDE.md'), 'B @a.md')],
  ['the persona is removed', ({ memoryDir }) => rm(join(memoryDir, 'CLAUDE.md'))],
  ['what it imports is changed', ({ memoryDir }) => writeFile(join(memoryDir, 'a.md'), 'else @sub/b.md')],
  ['what its import imports is changed', ({ memoryDir }) => writeFile(join(memoryDir, 'sub/b.md'), 'else')],
  ['a skill is changed', ({ sessionsDir }) => writeFile(join(sessionsDir, 'set-1/sing/SKILL.md'), 'louder')],
  ['a skill is added', ({ sessionsDir }) => mkdir(join(sessionsDir, 'skills/dance'))],
  ['a skill is removed', ({ sessionsDir }) => rm(join(sessionsDir, 'skills/sing'), { recursive: true })],
  ['another set is installed', swapSet],
];

for (const [what, change] of changes) {
  test(`its mark is another when ${what}`, async () => {
    const place = await makePlace();
    const before = await markWorkspace(place);
    await change(place);
    expect(await markWorkspace(place)).not.toBe(before);
  });
}

const imports: [string, string][] = [
  ['with a space', '@my\\ notes.md'],
  ['with a quote', "@it's.md"],
  ['with parentheses', '@notes(1).md'],
  ['with a heading', '@a.md#today'],
  ['in bold', '**@a.md**'],
  ['in italics', '_@a.md_'],
  ['in HTML', '<b>@a.md</b>'],
  ['in a table', '|@a.md|'],
];

for (const [what, reference] of imports) {
  test(`its mark is another when what it imports ${what} is changed`, async () => {
    const place = await makePlace();
    const names = ['my notes.md', "it's.md", 'notes(1).md', 'a.md'];
    await writeFile(join(place.memoryDir, 'CLAUDE.md'), `See ${reference} and on`);
    const before = await markWorkspace(place);
    for (const name of names) await writeFile(join(place.memoryDir, name), 'else');
    expect(await markWorkspace(place)).not.toBe(before);
  });
}

test('of what the kernel makes up, which may have no end, nothing is read', async () => {
  const place = await makePlace();
  await writeFile(join(place.memoryDir, 'CLAUDE.md'), '@/proc/sys/kernel/random/uuid');
  expect(await markWorkspace(place)).toBe(await markWorkspace(place));
});

test('its mark stays when anything else changes', async () => {
  const place = await makePlace();
  const before = await markWorkspace(place);
  await writeFile(join(place.memoryDir, 'notes.md'), 'a note');
  await writeFile(join(place.sessionsDir, 'skills/sing/song.txt'), 'a song');
  expect(await markWorkspace(place)).toBe(before);
});

test('imports that lead in a circle, or to nothing, have an end', async () => {
  const place = await makePlace();
  await writeFile(join(place.memoryDir, 'sub/b.md'), '@../CLAUDE.md @b.md @/no/such/file @~/none-of-this');
  expect(await markWorkspace(place)).toMatch(/^[0-9a-f]{64}$/);
});

test('where there is nothing there is a mark as well', async () => {
  const memoryDir = temporaryFolder();
  expect(await markWorkspace({ memoryDir, sessionsDir: join(memoryDir, '.claude') })).toMatch(/^[0-9a-f]{64}$/);
});

async function makePlace(): Promise<Place> {
  const memoryDir = temporaryFolder();
  const sessionsDir = join(memoryDir, '.claude');
  await mkdir(join(memoryDir, 'sub'));
  for (const set of ['set-1', 'set-2']) {
    await mkdir(join(sessionsDir, set, 'sing'), { recursive: true });
    await writeFile(join(sessionsDir, set, 'sing/SKILL.md'), 'sing');
  }
  await symlink('set-1', join(sessionsDir, 'skills'));
  await writeFile(join(memoryDir, 'CLAUDE.md'), 'A @a.md');
  await writeFile(join(memoryDir, 'a.md'), 'imported, and imports @sub/b.md');
  await writeFile(join(memoryDir, 'sub/b.md'), 'deeper');
  return { memoryDir, sessionsDir };
}

async function swapSet({ sessionsDir }: Place): Promise<void> {
  await symlink('set-2', join(sessionsDir, 'next'));
  await rename(join(sessionsDir, 'next'), join(sessionsDir, 'skills'));
}
