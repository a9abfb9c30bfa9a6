/** SIGKILL at every step of a run: what a client finds afterwards (docs/architecture.md, the table of crash points). */

import { chmodSync, cpSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Model, startModel } from '../support/model.ts';
import { liveProcesses } from '../support/processes.ts';
import { startServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { changeVolume } from '../support/volume-change.ts';

let model: Model;
let dir: string;

beforeAll(async () => {
  model = await startModel();
  // First, because the message of a run that was cut may come with the next one.
  model.mock.on({ userMessage: /go on/ }, { content: 'On we go.' });
  model.mock.on({ userMessage: /remember/ }, { content: 'I will remember.' });
  model.mock.on({ userMessage: /long question/ }, { content: 'A long answer that is cut.' });
});
afterAll(() => model.stop());
beforeEach(() => {
  dir = temporaryFolder();
});

function transcripts(): string[] {
  return readdirSync(join(dir, 'memory/.claude'), { recursive: true, encoding: 'utf8' }).map((path) => basename(path));
}

function userContent(request: { body: { messages: { role: string; content: unknown }[] } } | undefined): string {
  return JSON.stringify(request?.body.messages.filter(({ role }) => role === 'user'));
}

describe('after SIGKILL of the server', () => {
  it('what was answered is there, and the next turn knows it', async () => {
    await using first = await startServer({ model, dir });
    const { conversation_id, session_id } = await first.chat({ message: 'remember the number 4711' });
    first.kill('SIGKILL');
    await first.exited;

    await using second = await startServer({ model, dir });
    const stored = await second.get(`/chat/${conversation_id}/messages`);
    expect(stored.body.messages).toMatchObject([{ role: 'user' }, { role: 'assistant', content: 'I will remember.' }]);
    const next = await second.chat({ message: 'go on', conversation_id });
    expect(next.session_id).toBe(session_id);
    expect(userContent(model.requests().at(-1))).toContain('4711');
  });

  it('while the agent works: the message is kept, the conversation goes on, and nothing of the agent is left', async () => {
    await using first = await startServer({ model, dir });
    const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('long question') });
    const frames = first.stream({ message: 'long question 42' });
    const start = await frames.next();
    const conversation_id = String(start.value?.data.conversation_id);
    await stall.reached;
    expect(liveProcesses(dir), 'the claude process').not.toEqual([]);
    first.kill('SIGKILL');
    await first.exited;
    stall.release();
    await expect.poll(() => liveProcesses(dir)).toEqual([]);
    await frames.return(undefined).catch(() => undefined);

    await using second = await startServer({ model, dir });
    expect((await second.get(`/chat/${conversation_id}`)).body).toMatchObject({ status: 'idle', message_count: 1 });
    const next = await second.chat({ message: 'go on', conversation_id });
    expect(next).toMatchObject({ status: 'success', result: 'On we go.' });
    const told = userContent(model.requests().at(-1));
    expect(told.match(/long question 42/g), 'the cut message is told once').toHaveLength(1);
  });

  it('when the agent was done but its answer had not reached the volume: the session knows it, and is not told twice', async () => {
    await using first = await startServer({ model, dir });
    const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('long question') });
    const answer = first.chat({ message: 'long question 43' });
    await stall.reached;
    const [volume, beforeSettling] = [join(dir, 'store'), join(dir, 'store-before')];
    cpSync(volume, beforeSettling, { recursive: true, verbatimSymlinks: true });
    stall.release();
    const { conversation_id, session_id } = await answer;
    first.kill('SIGKILL');
    await first.exited;
    rmSync(volume, { recursive: true });
    renameSync(beforeSettling, volume);

    await using second = await startServer({ model, dir });
    expect((await second.get(`/chat/${conversation_id}`)).body).toMatchObject({ status: 'idle', message_count: 1 });
    const next = await second.chat({ message: 'go on', conversation_id });
    expect(next).toMatchObject({ status: 'success', session_id });
    const request = model.requests().at(-1);
    expect(userContent(request).match(/long question 43/g)).toHaveLength(1);
    expect(JSON.stringify(request?.body.messages)).toContain('A long answer that is cut.');
  });

  it('while a tool runs: its children are gone too', async () => {
    const sleep = {
      name: 'Bash',
      arguments: JSON.stringify({ command: 'setsid sleep 3600 & echo ready > started; sleep 3600' }),
    };
    model.mock.on({ userMessage: /sleep a while/, hasToolResult: false }, { content: 'Sleeping.', toolCalls: [sleep] });
    await using first = await startServer({ model, dir });
    const answer = first.chat({ message: 'sleep a while' }).catch(() => undefined);
    await expect.poll(() => read(join(dir, 'memory/started'))).toContain('ready');
    first.kill('SIGKILL');
    await first.exited;
    await answer;
    await expect.poll(() => liveProcesses(dir)).toEqual([]);
  });

  it('in the middle of a deletion: the next start removes the transcript', async () => {
    await using first = await startServer({ model, dir });
    const { conversation_id, session_id } = await first.chat({ message: 'remember me' });
    const kept = await first.chat({ message: 'remember me too' });
    first.kill('SIGKILL');
    await first.exited;
    // As a deletion leaves it whose rows are gone from the volume and whose transcript is not.
    rmSync(join(dir, 'local'), { recursive: true });
    await changeVolume(dir, (store) => store.deleteConversation(conversation_id));
    expect(transcripts()).toContain(`${session_id}.jsonl`);

    await using second = await startServer({ model, dir });
    await expect.poll(transcripts).not.toContain(`${session_id}.jsonl`);
    expect(transcripts()).toContain(`${kept.session_id}.jsonl`);
    expect((await second.get(`/chat/${conversation_id}`)).status).toBe(404);
  });

  it('with the local database lost as well, the volume alone has everything', async () => {
    await using first = await startServer({ model, dir });
    const { conversation_id } = await first.chat({ message: 'remember me' });
    first.kill('SIGKILL');
    await first.exited;
    rmSync(join(dir, 'local'), { recursive: true });
    await using second = await startServer({ model, dir });
    expect((await second.get(`/chat/${conversation_id}`)).body).toMatchObject({ message_count: 2, status: 'idle' });
  });
});

describe('a conversation can always go on', () => {
  it('after its .claude folder is gone: a fresh session is told once what was said', async () => {
    await using server = await startServer({ model, dir });
    const { conversation_id } = await server.chat({ message: 'remember the word lighthouse' });
    rmSync(join(dir, 'memory/.claude'), { recursive: true });
    const next = await server.chat({ message: 'go on', conversation_id });
    expect(next.status).toBe('success');
    const told = userContent(model.requests().at(-1));
    expect(told.match(/lighthouse/g)).toHaveLength(1);
    expect(told).toContain('I will remember.');
    await server.logged((entry) => entry.level === 'warn' && entry.conversation_id === conversation_id);

    const after = await server.chat({ message: 'go on again', conversation_id });
    expect(after.session_id).toBe(next.session_id);
    expect(userContent(model.requests().at(-1)).match(/lighthouse/g), 'and not told again').toHaveLength(1);
  });

  it('after MEMORY_DIR has moved', async () => {
    await using first = await startServer({ model, dir });
    const { conversation_id } = await first.chat({ message: 'remember the word harbour' });
    first.kill('SIGTERM');
    expect(await first.exited).toBe(0);
    rmSync(join(dir, 'memory'), { recursive: true });
    await using second = await startServer({ model, dir, env: { MEMORY_DIR: join(dir, 'elsewhere') } });
    expect((await second.chat({ message: 'go on', conversation_id })).status).toBe('success');
    expect(userContent(model.requests().at(-1))).toContain('harbour');
  });
});

describe('a damaged volume', () => {
  it('stops the start and names the file, instead of beginning anew with nothing', async () => {
    await using first = await startServer({ model, dir });
    await first.chat({ message: 'remember me' });
    first.kill('SIGKILL');
    await first.exited;
    const base = realpathSync(join(dir, 'store/messages.db'));
    chmodSync(base, 0o644);
    truncateSync(base, 5000);
    await expect(startServer({ model, dir })).rejects.toThrow(base);
    expect(readFileSync(base)).toHaveLength(5000);
  });
});

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
