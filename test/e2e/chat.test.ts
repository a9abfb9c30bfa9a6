/** The main job, end to end: the server's process, the real claude process, a loopback model API. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { collect } from '../support/frames.ts';
import { type Model, startModel } from '../support/model.ts';
import { chatAnswer, startServer, type TestServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';

const dir = sharedFolder();
let model: Model;
let server: TestServer;

beforeAll(async () => {
  model = await startModel({ chunkSize: 5 });
  server = await startServer({ model, dir });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await model.stop();
});

const textContent = z.union([z.string(), z.array(z.looseObject({ text: z.string() }))]);

/** The text of every user message of a request, without the cache marks that move from one to the next. */
function userTexts(request: { body: { messages: { role: string; content: unknown }[] } }): string[] {
  return request.body.messages
    .filter(({ role }) => role === 'user')
    .map(({ content }) => textContent.parse(content))
    .map((content) => (typeof content === 'string' ? content : content.map(({ text }) => text).join('')));
}

describe('POST /chat', () => {
  it('answers as JSON, with what the run cost', async () => {
    const text = '  Two  spaces,\n\n\ta tab, and 🦞. ';
    model.mock.on({ userMessage: /exact text/ }, { content: text, usage: { input_tokens: 120, output_tokens: 30 } });
    const answer = await server.chat({ message: 'exact text please' });
    expect(answer).toMatchObject({ status: 'success', result: text, num_turns: 1 });
    expect(answer.usage).toMatchObject({ input_tokens: 120, output_tokens: 30 });
    expect(answer.cost_usd).toBeGreaterThan(0);
    expect(answer.error).toBeUndefined();
    expect(Object.keys(answer).slice(0, 2)).toEqual(['status', 'conversation_id']);

    const stored = await server.get(`/chat/${answer.conversation_id}/messages`);
    expect(stored.body.messages).toMatchObject([
      { role: 'user', content: 'exact text please' },
      { role: 'assistant', content: text, id: answer.message_id, sender_name: 'Pico' },
    ]);
  });

  it('streams the same text, byte for byte, and ends with the whole answer', async () => {
    const text = 'The quick\n\n  brown fox 🦊🦊 jumps <b>over</b> the lazy dog.\n';
    model.mock.on({ userMessage: /stream it/ }, { content: text });
    const frames = await collect(server.stream({ message: 'stream it' }));
    const chunks = frames.filter(({ event }) => event === 'chunk');
    expect(frames[0]?.event).toBe('start');
    expect(chunks.length).toBeGreaterThan(5);
    expect(chunks.map(({ data }) => data.text).join('')).toBe(text);
    expect(frames.at(-1)).toMatchObject({ event: 'done', data: { status: 'success', result: text } });
    expect(frames.every(({ id }) => id !== undefined)).toBe(true);
  });

  it('keeps <internal> blocks from the stream, the answer and the history', async () => {
    model.mock.on({ userMessage: /hide something/ }, { content: 'Yes. <internal>the plan</internal>Done.' });
    const frames = await collect(server.stream({ message: 'hide something' }));
    expect(JSON.stringify(frames)).not.toContain('plan');
    expect(frames.at(-1)?.data.result).toBe('Yes. Done.');
    const stored = await server.get(`/chat/${String(frames.at(-1)?.data.conversation_id)}/messages`);
    expect(JSON.stringify(stored.body)).not.toContain('plan');
  });

  it('lets the agent work with its tools in MEMORY_DIR, and keeps the text before and after', async () => {
    const write = {
      name: 'Write',
      arguments: JSON.stringify({ file_path: join(server.dir, 'memory/notes.md'), content: 'hi' }),
    };
    model.mock.on({ userMessage: /take a note/, hasToolResult: false }, { content: 'I will.', toolCalls: [write] });
    model.mock.on({ userMessage: /take a note/, hasToolResult: true }, { content: 'Done.' });
    const frames = await collect(server.stream({ message: 'take a note', show_tool_use: true }));
    expect(frames.find(({ event }) => event === 'tool_use')?.data).toMatchObject({ tool: 'Write' });
    expect(frames.at(-1)?.data).toMatchObject({ result: 'I will.\n\nDone.', num_turns: 2 });
    expect(frames.at(-1)?.data.tool_uses).toMatchObject([{ tool: 'Write', input: { content: 'hi' } }]);
    expect(readFileSync(join(server.dir, 'memory/notes.md'), 'utf8')).toBe('hi');
  });

  it('sends only the new message over 50 turns of a conversation', async () => {
    model.mock.on({ userMessage: /turn number/ }, { content: 'Noted.' });
    const before = model.requests().length;
    let conversation_id: string | undefined;
    const turns = 50;
    for (let turn = 1; turn <= turns; turn++) {
      const answer = await server.chat({
        message: `turn number ${turn}.`,
        ...(conversation_id && { conversation_id }),
      });
      expect(answer.status).toBe('success');
      conversation_id = answer.conversation_id;
    }
    const requests = model.requests().slice(before);
    expect(requests).toHaveLength(turns);
    requests.forEach((request, index) => {
      const texts = userTexts(request);
      expect(texts, `request ${index + 1} has one user message a turn`).toHaveLength(index + 1);
      texts.forEach((text, position) => {
        expect(text.match(/turn number/g), 'no message repeats another').toHaveLength(1);
        expect(text).toContain(`turn number ${position + 1}.`);
      });
    });
    // A turn's user content is as long in the 50th request as it was when it was new.
    const bytes = requests.map((request) => userTexts(request).join('').length);
    const growth = bytes.slice(1).map((size, index) => size - (bytes[index] ?? 0));
    expect(Math.max(...growth.slice(1)) - Math.min(...growth.slice(1))).toBeLessThanOrEqual(4);
  });

  it('answers 30 conversations that start at once, and none sees the text of another', async () => {
    model.mock.on({ userMessage: /I am visitor/ }, (request) => {
      const said = JSON.stringify(request.messages.filter(({ role }) => role === 'user'));
      const numbers = [...said.matchAll(/visitor (\d+)/g)].map((match) => match[1]);
      return { content: `You are ${[...new Set(numbers)].join(' and ')}.` };
    });
    const visitors = Array.from({ length: 30 }, (_, index) => index + 1000);
    const answers = await Promise.all(visitors.map((visitor) => server.chat({ message: `I am visitor ${visitor}` })));
    expect(answers.map(({ result }) => result)).toEqual(visitors.map((visitor) => `You are ${visitor}.`));
    expect(new Set(answers.map(({ conversation_id }) => conversation_id)).size).toBe(30);
    expect(new Set(answers.map(({ session_id }) => session_id)).size).toBe(30);
  });

  it('refuses a second request to a busy conversation and stores nothing of it', async () => {
    model.mock.on({ userMessage: /slow question/ }, { content: 'At last.' });
    model.mock.on({ userMessage: /quick question/ }, { content: 'Hello.' });
    const { conversation_id } = await server.chat({ message: 'quick question' });
    const hold = model.fault({ kind: 'hold', when: ({ raw }) => raw.includes('slow question') });
    const slow = server.chat({ message: 'slow question', conversation_id });
    await hold.reached;
    await expect(server.chat({ message: 'me too', conversation_id })).rejects.toThrow(/409.*currently processing/);
    expect((await server.get(`/chat/${conversation_id}`)).body).toMatchObject({ status: 'running', message_count: 3 });
    hold.release();
    expect((await slow).result).toBe('At last.');
    expect((await server.get(`/chat/${conversation_id}`)).body).toMatchObject({ status: 'idle', message_count: 4 });
  });

  it('goes on without its client, and stores the answer', async () => {
    model.mock.on({ userMessage: /leave me/ }, { content: 'You left.' });
    const hold = model.fault({ kind: 'hold', when: ({ raw }) => raw.includes('leave me') });
    const frames = server.stream({ message: 'leave me' });
    const start = await frames.next();
    const conversation = String(start.value?.data.conversation_id);
    await hold.reached;
    await frames.return(undefined);
    hold.release();
    await expect
      .poll(async () => (await server.get(`/chat/${conversation}`)).body)
      .toMatchObject({
        status: 'idle',
      });
    const stored = await server.get(`/chat/${conversation}/messages`);
    expect(stored.body.messages).toMatchObject([{ role: 'user' }, { role: 'assistant', content: 'You left.' }]);
  });

  it('reports a timeout as one, keeps the text until then, and the conversation goes on', async () => {
    model.mock.on({ userMessage: /take your time/ }, { content: 'First part, and then nothing more.' });
    model.mock.on({ userMessage: /go on/ }, { content: 'Here I am.' });
    const stall = model.fault({ kind: 'stall', afterDeltas: 2, when: ({ raw }) => raw.includes('take your time') });
    // Enough for the slowest start of a claude process, which is part of the run.
    const frames = await collect(server.stream({ message: 'take your time', max_execution_ms: 15_000 }));
    stall.release();
    const answer = chatAnswer.parse(frames.at(-1)?.data);
    const text = frames.flatMap(({ event, data }) => (event === 'chunk' ? [data.text] : [])).join('');
    expect(text).not.toBe('');
    expect(answer).toMatchObject({ status: 'timeout', result: text });
    const stored = await server.get(`/chat/${answer.conversation_id}/messages`);
    expect(stored.body.messages).toMatchObject([{ role: 'user' }, { role: 'assistant', content: text }]);
    const next = await server.chat({ message: 'go on', conversation_id: answer.conversation_id });
    expect(next).toMatchObject({ status: 'success', result: 'Here I am.', session_id: answer.session_id });
  });

  it('tells a failure of the model API as an error, which is not stored as an answer', async () => {
    model.fault({
      kind: 'status',
      status: 401,
      error: 'authentication_error',
      message: 'invalid x-api-key',
      times: 20,
      when: ({ raw }) => raw.includes('bad key'),
    });
    const answer = await server.chat({ message: 'bad key' });
    expect(answer).toMatchObject({ status: 'error', result: null });
    expect(answer.error).toMatch(/key|credential/i);
    const stored = await server.get(`/chat/${answer.conversation_id}/messages`);
    expect(stored.body.messages).toMatchObject([{ role: 'user', content: 'bad key' }]);
  });

  it('deletes a conversation with its transcript', async () => {
    model.mock.on({ userMessage: /forget this/ }, { content: 'Gone.' });
    const { conversation_id, session_id } = await server.chat({ message: 'forget this secret' });
    const held = () => transcriptsWith(server.dir, String(session_id));
    expect(held()).not.toEqual([]);
    const response = await fetch(`${server.url}/chat/${conversation_id}`, { method: 'DELETE' });
    expect(response.status).toBe(204);
    expect(held()).toEqual([]);
    expect((await server.get(`/chat/${conversation_id}`)).status).toBe(404);
  });

  it('logs one line a request and neither a message nor a secret', async () => {
    model.mock.on({ userMessage: /confidential/ }, { content: 'The reply is confidential-7781 too.' });
    const answer = await server.chat({ message: 'confidential-7780' });
    const entry = await server.logged((line) => line.run_id === answer.run_id && line.route === '/chat');
    expect(entry).toMatchObject({ method: 'POST', status: 200, conversation_id: answer.conversation_id });
    expect(entry.request_id).toMatch(/^req-/);
    expect(entry.duration_ms).toBeTypeOf('number');
    const log = JSON.stringify(server.log()) + server.stderr();
    expect(log).not.toMatch(/confidential-778|sk-ant-test/);
  });
});

function transcriptsWith(dir: string, sessionId: string): string[] {
  return globFiles(join(dir, 'memory/.claude')).filter((file) => file.includes(sessionId));
}

function globFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' });
}
