/** What a session's files tell, on real files: a fault of the volume is never taken for a session that is lost. */

import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { deleteSession, holdsReply, promptsIn, transcriptState } from '../../src/agent/transcripts.ts';

const promptId = randomUUID();
const prompt = { type: 'user', uuid: promptId, message: { role: 'user', content: 'hello' } };
const reply = { type: 'assistant', uuid: randomUUID(), message: { model: 'claude-test', content: [] } };
const filler = { type: 'assistant', uuid: randomUUID(), message: { model: '<synthetic>', content: [] } };

const transcripts: [string, object[], boolean][] = [
  ['a reply after the prompt', [prompt, reply], true],
  ['a reply before the prompt only', [reply, prompt], false],
  ['a prompt without a reply', [prompt], false],
  ['the CLI’s filler after the prompt', [prompt, filler], false],
  ['a reply, and then other entries', [prompt, reply, { type: 'last-prompt' }, { type: 'user', message: null }], true],
];

for (const [what, entries, expected] of transcripts) {
  test(`a transcript with ${what} holds ${expected ? 'the' : 'no'} reply`, async () => {
    await using session = await startSession(entries);
    expect(await holdsReply(session.configDir, session.id, promptId)).toBe(expected);
  });
}

test('a reply is found at the end of a transcript that is longer than what is read', async () => {
  const long = { type: 'user', message: 'x'.repeat(2_000_000) };
  await using late = await startSession([prompt, long, reply]);
  expect(await holdsReply(late.configDir, late.id, promptId)).toBe(true);
  await using early = await startSession([reply, long, prompt]);
  expect(await holdsReply(early.configDir, early.id, promptId)).toBe(false);
});

test('a line that was cut off or overwritten is no reply and no obstacle', async () => {
  await using session = await startSession([prompt, reply]);
  await writeFile(session.path, `${lines([prompt, reply])}\0\0\0{"type":"assistant","mess`);
  expect(await holdsReply(session.configDir, session.id, promptId)).toBe(true);
  await writeFile(session.path, `${lines([prompt])}{"type":"assistant","mess`);
  expect(await holdsReply(session.configDir, session.id, promptId)).toBe(false);
});

test('a session without a transcript is missing, and holds nothing', async () => {
  await using session = await startSession([prompt, reply]);
  const other = randomUUID();
  expect(await transcriptState(session.configDir, session.id)).toBe('usable');
  expect(await transcriptState(session.configDir, other)).toBe('missing');
  expect(await transcriptState(join(session.configDir, 'not-there'), session.id)).toBe('missing');
  expect(await promptsIn(session.configDir, other, [promptId])).toEqual(new Set());
  expect(await holdsReply(session.configDir, other, promptId)).toBe(false);
});

test('a folder in the place of the transcript is an unusable session, and holds nothing', async () => {
  await using session = await startSession([prompt, reply]);
  await rm(session.path);
  await mkdir(session.path);

  expect(await transcriptState(session.configDir, session.id)).toBe('unusable');
  expect(await promptsIn(session.configDir, session.id, [promptId])).toEqual(new Set());
  expect(await holdsReply(session.configDir, session.id, promptId)).toBe(false);
  await deleteSession({ configDir: session.configDir, tempDir: join(session.configDir, 'no-temp') }, session.id);
  expect(await transcriptState(session.configDir, session.id)).toBe('missing');
});

test('a projects folder that cannot be read is an error, and not a missing session', async () => {
  await using session = await startSession([prompt, reply]);
  const projects = join(session.configDir, 'projects');
  await rm(projects, { recursive: true });
  // What root cannot read either.
  await writeFile(projects, '');

  await expect(transcriptState(session.configDir, session.id)).rejects.toThrow('ENOTDIR');
  await expect(promptsIn(session.configDir, session.id, [promptId])).rejects.toThrow('ENOTDIR');
  await expect(holdsReply(session.configDir, session.id, promptId)).rejects.toThrow('ENOTDIR');
  const places = { configDir: session.configDir, tempDir: join(session.configDir, 'no-temp') };
  await expect(deleteSession(places, session.id)).rejects.toThrow('ENOTDIR');
});

type TestSession = AsyncDisposable & { configDir: string; id: string; path: string };

async function startSession(entries: object[]): Promise<TestSession> {
  const configDir = await mkdtemp(join(tmpdir(), 'picoclaw-transcripts-'));
  const id = randomUUID();
  const path = join(configDir, 'projects', '-memory', `${id}.jsonl`);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, lines(entries));
  return { configDir, id, path, [Symbol.asyncDispose]: () => rm(configDir, { recursive: true, force: true }) };
}

function lines(entries: object[]): string {
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
}
