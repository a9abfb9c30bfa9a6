/** What a session's files tell, on real files: a fault of the volume is never taken for a session that is lost. */

import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readlink, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { deleteSession, holdsMessage, promptsIn, transcriptState } from '../../src/agent/transcripts.ts';
import { until } from '../support/until.ts';

const promptId = randomUUID();
const prompt = { type: 'user', uuid: promptId, message: { role: 'user', content: 'hello' } };
const reply = { type: 'assistant', uuid: randomUUID(), message: { id: 'msg_last', model: 'claude-test', content: [] } };
const other = {
  type: 'assistant',
  uuid: randomUUID(),
  message: { id: 'msg_first', model: 'claude-test', content: [] },
};
const quoting = { type: 'user', uuid: randomUUID(), message: { role: 'user', content: 'what is msg_last?' } };

const transcripts: [string, object[], boolean][] = [
  ['a reply after the prompt', [prompt, reply], true],
  ['another message of the model only', [prompt, other], false],
  ['a message that only speaks of it', [prompt, quoting], false],
  ['a prompt without a reply', [prompt], false],
  ['a reply, and then other entries', [prompt, reply, { type: 'last-prompt' }, { type: 'user', message: null }], true],
];

for (const [what, entries, expected] of transcripts) {
  test(`a transcript with ${what} holds ${expected ? 'the' : 'no'} reply`, async () => {
    await using session = await startSession(entries);
    expect(await holdsMessage(session.sessionsDir, session.id, 'msg_last')).toBe(expected);
  });
}

test('a message is found wherever it lies in a long transcript', async () => {
  const long = { type: 'user', message: 'x'.repeat(2_000_000) };
  await using late = await startSession([prompt, long, reply]);
  expect(await holdsMessage(late.sessionsDir, late.id, 'msg_last')).toBe(true);
  await using early = await startSession([reply, long, prompt]);
  expect(await holdsMessage(early.sessionsDir, early.id, 'msg_last')).toBe(true);
});

test('a line that was cut off or overwritten is no reply and no obstacle', async () => {
  await using session = await startSession([prompt, reply]);
  await writeFile(session.path, `${lines([prompt, reply])}\0\0\0{"type":"assistant","mess`);
  expect(await holdsMessage(session.sessionsDir, session.id, 'msg_last')).toBe(true);
  await writeFile(session.path, `${lines([prompt])}{"type":"assistant","mess`);
  expect(await holdsMessage(session.sessionsDir, session.id, 'msg_last')).toBe(false);
});

test('a session without a transcript is missing, and holds nothing', async () => {
  await using session = await startSession([prompt, reply]);
  const other = randomUUID();
  expect(await transcriptState(session.sessionsDir, session.id)).toBe('usable');
  expect(await transcriptState(session.sessionsDir, other)).toBe('missing');
  expect(await transcriptState(join(session.sessionsDir, 'not-there'), session.id)).toBe('missing');
  expect(await promptsIn(session.sessionsDir, other, [promptId])).toEqual(new Set());
  expect(await holdsMessage(session.sessionsDir, other, 'msg_last')).toBe(false);
});

test('a folder in the place of the transcript is an unusable session, and holds nothing', async () => {
  await using session = await startSession([prompt, reply]);
  await rm(session.path);
  await mkdir(session.path);

  expect(await transcriptState(session.sessionsDir, session.id)).toBe('unusable');
  expect(await promptsIn(session.sessionsDir, session.id, [promptId])).toEqual(new Set());
  expect(await holdsMessage(session.sessionsDir, session.id, 'msg_last')).toBe(false);
  await deleteSession({ sessionsDir: session.sessionsDir, tempDir: join(session.sessionsDir, 'no-temp') }, session.id);
  expect(await transcriptState(session.sessionsDir, session.id)).toBe('missing');
});

test('a projects folder that cannot be read is an error, and not a missing session', async () => {
  await using session = await startSession([prompt, reply]);
  const projects = join(session.sessionsDir, 'projects');
  await rm(projects, { recursive: true });
  // What root cannot read either.
  await writeFile(projects, '');

  await expect(transcriptState(session.sessionsDir, session.id)).rejects.toThrow('ENOTDIR');
  await expect(promptsIn(session.sessionsDir, session.id, [promptId])).rejects.toThrow('ENOTDIR');
  await expect(holdsMessage(session.sessionsDir, session.id, 'msg_last')).rejects.toThrow('ENOTDIR');
  const places = { sessionsDir: session.sessionsDir, tempDir: join(session.sessionsDir, 'no-temp') };
  await expect(deleteSession(places, session.id)).rejects.toThrow('ENOTDIR');
});

test('a long transcript is read no further than needed, and its file is closed again', async () => {
  const long = { type: 'user', message: 'x'.repeat(20_000_000) };
  await using session = await startSession([prompt, long, reply]);
  const before = (await openFiles(session.path)).length;
  for (let time = 0; time < 20; time += 1) {
    expect(await transcriptState(session.sessionsDir, session.id)).toBe('usable');
    await promptsIn(session.sessionsDir, session.id, [promptId]);
  }
  await until('every file is closed', async () => (await openFiles(session.path)).length <= before);
});

test('a transcript that is one line without an end is an unusable session, however long', async () => {
  await using session = await startSession([]);
  // More than a string can hold.
  await truncate(session.path, 600_000_000);

  expect(await transcriptState(session.sessionsDir, session.id)).toBe('unusable');
});

test('the temporary folder of another user is not looked into', async () => {
  await using session = await startSession([prompt, reply]);
  const tempDir = join(session.sessionsDir, 'temp');
  const ofUser = (uid: number) => join(tempDir, `claude-${uid}`, '-memory', session.id);
  const [own, others] = [ofUser(process.getuid?.() ?? 0), ofUser(4242)];
  await mkdir(own, { recursive: true });
  await mkdir(others, { recursive: true });
  await deleteSession({ sessionsDir: session.sessionsDir, tempDir }, session.id);
  expect(await readdir(dirname(own))).toEqual([]);
  expect(await readdir(dirname(others))).toEqual([session.id]);
});

async function openFiles(path: string): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ''));
  return (await Promise.all(links)).filter((target) => target === path);
}

type TestSession = AsyncDisposable & { sessionsDir: string; id: string; path: string };

async function startSession(entries: object[]): Promise<TestSession> {
  const sessionsDir = await mkdtemp(join(tmpdir(), 'picoclaw-transcripts-'));
  const id = randomUUID();
  const path = join(sessionsDir, 'projects', '-memory', `${id}.jsonl`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, lines(entries));
  return { sessionsDir, id, path, [Symbol.asyncDispose]: () => rm(sessionsDir, { recursive: true, force: true }) };
}

function lines(entries: object[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
}
