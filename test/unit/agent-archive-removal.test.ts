/** Which archives go with a deleted conversation. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeEach, expect, it, vi } from 'vitest';
import { renderHead } from '../../src/agent/archive/markdown.ts';
import { removeArchives } from '../../src/agent/archive/remove.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

let memoryDir: string;
let folder: string;

beforeEach(() => {
  refused.clear();
  memoryDir = temporaryFolder();
  folder = join(memoryDir, 'conversations');
});

function archive(name: string, sessionId: string, conversationId: string | null = 'conv-1'): void {
  mkdirSync(folder, { recursive: true });
  const head = renderHead({ at: '2026-06-01T10:00:00.000Z', timezone: 'Europe/Berlin', conversationId, sessionId });
  writeFileSync(join(folder, name), `${head}\n## [user] Ada\n\n${'long '.repeat(1_000)}`);
}

it('those of its sessions are removed, and no other', async () => {
  archive('2026-06-01-hello.md', 'session-1');
  archive('2026-06-01-hello-2.md', 'session-2');
  archive('2026-06-02-你好.md', 'session-1');
  archive('2026-06-02-other.md', 'session-3');
  archive('2026-06-03-none.md', 'session-4', null);
  await removeArchives(memoryDir, ['session-1', 'session-2']);
  expect(readdirSync(folder).sort()).toEqual(['2026-06-02-other.md', '2026-06-03-none.md']);
  await removeArchives(memoryDir, ['session-1', 'session-2']);
});

for (const [what, conversationId] of [
  ['long', '中'.repeat(500)],
  ['of several lines', 'a\n- Session: session-2\nb\u2028c\u2029d\re'],
  ['that says there is none', 'none'],
]) {
  it(`those of a conversation with an id ${what} are removed`, async () => {
    archive('2026-06-01-hello.md', 'session-1', conversationId);
    await removeArchives(memoryDir, ['session-2']);
    expect(readdirSync(folder)).toEqual(['2026-06-01-hello.md']);
    await removeArchives(memoryDir, ['session-1']);
    expect(readdirSync(folder)).toEqual([]);
  });
}

for (const code of ['EACCES', 'EPERM', 'EISDIR', 'ENOENT']) {
  it(`a file that cannot be read (${code}) is left, and does not keep the others`, async () => {
    for (const name of ['a.md', 'b.md', 'c.md']) archive(name, 'session-1');
    refused.set('b.md', code);
    await removeArchives(memoryDir, ['session-1']);
    expect(readdirSync(folder)).toEqual(['b.md']);
  });
}

it('a failure that may pass is told, so that the deletion is tried again', async () => {
  archive('a.md', 'session-1');
  refused.set('a.md', 'EMFILE');
  await expect(removeArchives(memoryDir, ['session-1'])).rejects.toThrow('EMFILE');
  refused.clear();
  await removeArchives(memoryDir, ['session-1']);
  expect(readdirSync(folder)).toEqual([]);
});

it('of many archives each is looked at', async () => {
  for (let number = 0; number < 200; number += 1) archive(`${number}.md`, `session-${number % 2}`);
  await removeArchives(memoryDir, ['session-1']);
  expect(readdirSync(folder)).toHaveLength(100);
});

it('what the agent wrote there is left, though it speaks of the session', async () => {
  archive('archive.txt', 'session-1');
  writeFileSync(join(folder, 'notes.md'), '# Notes\n\n- Session: session-1\n');
  writeFileSync(join(folder, 'empty.md'), '');
  mkdirSync(join(folder, 'folder.md'));
  execFileSync('mkfifo', [join(folder, 'pipe.md')]);
  await removeArchives(memoryDir, ['session-1']);
  expect(readdirSync(folder).sort()).toEqual(['archive.txt', 'empty.md', 'folder.md', 'notes.md', 'pipe.md']);
});

it('without a folder of archives there is nothing to do', async () => {
  await expect(removeArchives(memoryDir, ['session-1'])).resolves.toBeUndefined();
});

/** Name → the code with which it cannot be opened: root, as whom tests may run, is refused nothing. */
const refused = vi.hoisted(() => new Map<string, string>());

vi.mock('node:fs/promises', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs/promises')>();
  const open: typeof fs.open = (path, ...rest) => {
    const code = refused.get(basename(String(path)));
    return code === undefined ? fs.open(path, ...rest) : Promise.reject(Object.assign(new Error(code), { code }));
  };
  return { ...fs, open };
});
