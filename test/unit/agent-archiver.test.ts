/** When a session is archived, what is waited for, and what is told of a failure. */

import { appendFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { SDKUserMessage } from '@anthropic-ai/claude-agent-sdk';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { Archiver, makeArchiveHooks } from '../../src/agent/archive/archiver.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';

test('what the CLI has said in the session is waited for, and what a subagent has said is not', async () => {
  const run = await startRun();
  run.archiver.observe(said('a0000000-0000-4000-8000-000000000001', null));
  run.archiver.observe(said('a0000000-0000-4000-8000-000000000002', 'toolu_1'));

  const compacting = run.compact();
  await until('it is being archived', async () => (await run.archives()).length > 0);
  await appendFile(run.transcriptPath, entry('a0000000-0000-4000-8000-000000000001', 'It came late.'));
  await compacting;
  await run.archiver.end();

  const [name = ''] = await run.archives();
  expect(await readFile(join(run.folder, name), 'utf8')).toContain('It came late.');
  expect(run.archiver.warnings).toEqual([]);
});

test('what never comes is not waited for any longer than a while, and the run is told', async () => {
  const run = await startRun({ transcriptMs: 50 });
  run.archiver.observe(said('a0000000-0000-4000-8000-000000000001', null));

  await run.compact();

  expect(await run.archives()).toHaveLength(1);
  expect(run.archiver.warnings).toEqual([expect.stringContaining('a part of it could not be archived')]);
});

test('an archive that takes too long is given up: the compaction goes on, the run is told', async () => {
  const run = await startRun({ archiveMs: 50 });
  run.archiver.observe(said('a0000000-0000-4000-8000-000000000001', null));

  await expect(run.compact()).resolves.toEqual([{}]);

  expect(await run.archives()).toEqual([]);
  expect(run.archiver.warnings).toEqual([expect.stringContaining('(ETIMEDOUT)')]);
});

test('the CLI gives it longer than it gives itself', () => {
  const hooks = makeArchiveHooks(() => null, { archiveMs: 1_500 });
  expect(hooks.PostCompact?.[0]?.timeout).toBe(7);
});

test('whatever the CLI says where the transcript is, the session’s own is archived', async () => {
  const run = await startRun();
  const other = join(run.memoryDir, 'other.jsonl');
  await writeFile(other, entry(promptId, 'of somebody else'));
  await run.compact({ transcript_path: other });
  expect(run.archiver.warnings).toEqual([expect.stringContaining('(ENOENT)')]);

  await run.compact({ transcript_path: join(run.memoryDir, 'folder', 'other.jsonl') });
  const [name = ''] = await run.archives();
  expect(await readFile(join(run.folder, name), 'utf8')).toContain('my secret');
});

test('neither the log nor a warning shows what was said, which is in the name of the file', async () => {
  const run = await startRun();
  await run.compact();
  await writeFile(join(run.memoryDir, 'secret'), '');
  const broken = await startRun({ memoryDir: join(run.memoryDir, 'secret') });
  await broken.compact();

  expect(await run.archives()).toEqual([expect.stringContaining('my-secret')]);
  expect(broken.archiver.warnings).toEqual([expect.stringContaining('(ENOTDIR)')]);
  expect([...run.log, ...broken.log, ...broken.archiver.warnings].join('')).not.toContain('secret');
});

const promptId = 'a0000000-0000-4000-8000-000000000000';

async function startRun(changed: { archiveMs?: number; transcriptMs?: number; memoryDir?: string } = {}) {
  const memoryDir = temporaryFolder();
  const sessionsDir = temporaryFolder();
  const transcriptPath = join(sessionsDir, 'projects', 'folder', 'session-1.jsonl');
  await mkdir(dirname(transcriptPath), { recursive: true });
  await writeFile(transcriptPath, entry(promptId, 'my secret'));
  const folder = join(memoryDir, 'conversations');
  const log: string[] = [];
  const archiver = new Archiver({
    memoryDir,
    sessionsDir,
    timezone: 'UTC',
    archiveMs: 60_000,
    transcriptMs: 2_000,
    runId: 'run-1',
    conversationId: 'conv-1',
    sessionId: 'session-1',
    promptId,
    log: pino({ level: 'debug' }, { write: (line: string) => void log.push(line) }),
    ...changed,
  });
  const input = {
    hook_event_name: 'PostCompact' as const,
    session_id: 'session-1',
    transcript_path: transcriptPath,
    cwd: memoryDir,
    trigger: 'auto' as const,
    compact_summary: 'All of it.',
  };
  const hooks =
    makeArchiveHooks(() => archiver, { archiveMs: 60_000 }).PostCompact?.flatMap((matcher) => matcher.hooks) ?? [];
  return {
    archiver,
    log,
    memoryDir,
    transcriptPath,
    folder,
    archives: () => readdir(folder).catch(() => []),
    compact: (told: { transcript_path?: string } = {}) =>
      Promise.all(
        hooks.map((hook) => hook({ ...input, ...told }, undefined, { signal: new AbortController().signal })),
      ),
  };
}

function entry(uuid: string, content: string): string {
  return `${JSON.stringify({ type: 'user', uuid, timestamp: '2026-11-22T10:00:00.000Z', message: { content } })}\n`;
}

function said(uuid: NonNullable<SDKUserMessage['uuid']>, parent: string | null): SDKUserMessage {
  return { type: 'user', uuid, message: { role: 'user', content: '' }, parent_tool_use_id: parent, session_id: '' };
}
