/** Which archives go with a deleted conversation. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { renderHead } from '../../src/agent/archive/markdown.ts';
import { removeArchives } from '../../src/agent/archive/remove.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

let memoryDir: string;
let folder: string;

beforeEach(() => {
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
