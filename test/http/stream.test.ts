import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { collect, type Frame } from '../support/frames.ts';
import { type AppInput, expectProblem, startApp } from '../support/http-app.ts';
import { withStart } from '../support/http-instance.ts';

const kinds = (frames: Frame[]) => frames.map(({ event }) => event);
const textOf = (frames: Frame[]) =>
  frames
    .filter(({ event, data }) => event === 'chunk' && !('sender' in data))
    .map(({ data }) => data.text)
    .join('');

describe('POST /chat with stream: true', () => {
  it('sends start, chunks and done, numbered from 1', async () => {
    await using app = await startApp();
    app.agent.next({
      events: [{ type: 'message' }, { type: 'text', text: 'Good ' }, { type: 'text', text: 'morning.' }],
    });
    const frames = await collect(await app.stream({ message: 'x' }));
    expect(kinds(frames)).toEqual(['start', 'chunk', 'chunk', 'done']);
    expect(frames.map(({ id }) => id)).toEqual(['1', '2', '3', '4']);
    const done = frames[3]?.data;
    expect(frames[0]?.data).toEqual({
      conversation_id: done?.conversation_id,
      message_id: expect.stringMatching(/^msg-/),
      run_id: done?.run_id,
    });
    expect(frames[0]?.data.message_id).not.toBe(done?.message_id);
    expect(frames[1]?.data).toEqual({ text: 'Good ' });
  });

  it('has the headers that keep proxies from holding it back', async () => {
    await using app = await startApp();
    const frames = await app.stream({ message: 'x' });
    const { headers } = frames.response;
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-cache, no-transform');
    expect(headers.get('x-accel-buffering')).toBe('no');
    expect(headers.get('x-request-id')).toMatch(/^req-/);
    await collect(frames);
  });

  it('ends with the same object that a JSON answer is', async () => {
    await using app = await startApp();
    const script = {
      events: [{ type: 'tool_use', tool: 'Read', input: {} } as const, { type: 'text', text: 'A' } as const],
    };
    app.agent.next(script);
    app.agent.next(script);
    const json = (await app.post('/chat', { message: 'x', show_tool_use: true })).body;
    const done = (await collect(await app.stream({ message: 'x', show_tool_use: true }))).at(-1);
    expect(done?.event).toBe('done');
    expect(Object.keys(done?.data ?? {})).toEqual(Object.keys(json));
    expect(done?.data).toMatchObject({ status: 'success', result: 'A', tool_uses: [{ tool: 'Read', input: {} }] });
  });

  it('sends its first frame before the agent has said anything', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const frames = await app.stream({ message: 'x' });
    expect((await frames.next()).value).toMatchObject({ event: 'start' });
    hold.release();
    await collect(frames);
  });

  it('sends thinking and tool_use only to who asked, and leaves the others their numbers', async () => {
    await using app = await startApp();
    const events = [
      { type: 'thinking', text: 'Hm' },
      { type: 'tool_use', tool: 'Bash', input: { command: 'ls' } },
      { type: 'text', text: 'A' },
    ] as const;
    for (let n = 0; n < 3; n++) app.agent.next({ events: [...events] });
    const all = await collect(await app.stream({ message: 'x', thinking: true, show_tool_use: true }));
    expect(kinds(all)).toEqual(['start', 'thinking', 'tool_use', 'chunk', 'done']);
    expect(all.slice(1, 3).map(({ data }) => data)).toEqual([
      { text: 'Hm' },
      { tool: 'Bash', input: { command: 'ls' } },
    ]);
    expect(all.at(-1)?.data).not.toHaveProperty('thinking');
    const none = await collect(await app.stream({ message: 'x' }));
    expect(none.map(({ id, event }) => [id, event])).toEqual([
      ['1', 'start'],
      ['4', 'chunk'],
      ['5', 'done'],
    ]);
    const thinking = await collect(await app.stream({ message: 'x', thinking: true }));
    expect(kinds(thinking)).toEqual(['start', 'thinking', 'chunk', 'done']);
  });

  it('sends the text of the model byte for byte, less internal blocks, however it is cut', async () => {
    await using app = await startApp();
    const pieces = [
      '  The quick ',
      '\n',
      ' brown',
      ' ',
      '<int',
      'ernal>plan',
      ' b</inter',
      'nal>',
      '\n\n```js\n  x\n',
      '👩',
      '‍👧',
      '<',
    ];
    app.agent.next({ events: [{ type: 'message' }, ...pieces.map((text) => ({ type: 'text', text }) as const)] });
    const frames = await collect(await app.stream({ message: 'x' }));
    const text = '  The quick \n brown \n\n```js\n  x\n👩‍👧<';
    expect(textOf(frames)).toBe(text);
    expect(frames.at(-1)?.data.result).toBe(text);
  });

  it('keeps line breaks of every kind inside the data of one frame', async () => {
    await using app = await startApp();
    const text = 'a\r\nb\rc\u2028d\nevent: done\ndata: {}\n\n';
    app.agent.next({ events: [{ type: 'text', text }] });
    const frames = await collect(await app.stream({ message: 'x' }));
    expect(kinds(frames)).toEqual(['start', 'chunk', 'done']);
    expect(frames[1]?.data.text).toBe(text);
  });

  it('sends rewind when the model began anew with other words', async () => {
    await using app = await startApp();
    app.agent.next({
      events: [
        { type: 'message' },
        { type: 'text', text: 'One two' },
        { type: 'restart' },
        { type: 'text', text: 'One six' },
      ],
    });
    const frames = await collect(await app.stream({ message: 'x' }));
    expect(frames.slice(1, -1).map(({ event, data }) => ({ event, ...data }))).toEqual([
      { event: 'chunk', text: 'One two' },
      { event: 'rewind', keep: 4 },
      { event: 'chunk', text: 'six' },
    ]);
    expect(frames.at(-1)?.data.result).toBe('One six');
  });

  it('sends outbound messages as outbound and, for 1.x clients, as chunk with sender, before done', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    for (const [id, sender] of [
      ['out-1', 'Timer'],
      ['out-2', null],
    ] as const)
      app.sql(
        'INSERT INTO outbound_messages (id, conversation_id, text, sender, created_at) VALUES (?, ?, ?, ?, ?)',
        id,
        String(body.conversation_id),
        `from ${id}`,
        sender,
        '2026-01-31T09:30:00.000Z',
      );
    const frames = await collect(await app.stream({ message: 'y', conversation_id: body.conversation_id }));
    expect(frames.slice(2, -1).map(({ event, data }) => ({ event, ...data }))).toEqual([
      { event: 'outbound', text: 'from out-1', sender: 'Timer' },
      { event: 'outbound', text: 'from out-2', sender: null },
      { event: 'chunk', text: 'from out-1', sender: 'Timer' },
      { event: 'chunk', text: 'from out-2', sender: null },
    ]);
    expect(textOf(frames)).toBe('Hello.');
  });

  it.each([
    ['a failure of the model', 'error', new Problem('model_overloaded', 'overloaded').toBody()],
    ['a shutdown', 'interrupted', null],
  ] as const)('ends with done after %s, its status error', async (_, outcome, error) => {
    await using app = await startApp();
    app.agent.next({ result: { outcome, error } });
    const frames = await collect(await app.stream({ message: 'x' }));
    expect(frames.at(-1)).toMatchObject({ event: 'done', data: { status: 'error', error: expect.any(String) } });
  });

  it('ends with error, a problem that names its conversation, when the answer could not be made durable', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const frames = await app.stream({ message: 'x' });
    const { conversationId } = await hold.reached;
    app.breakVolume();
    hold.release();
    const last = (await collect(frames)).at(-1);
    expect(last?.event).toBe('error');
    expect(last?.data).toMatchObject({
      code: 'not_durable',
      status: 503,
      retryable: true,
      conversation_id: conversationId,
      request_id: frames.response.headers.get('x-request-id'),
    });
  });

  it('ends with error when a bug keeps it from going on, and is logged as failed', async () => {
    await using app = await startApp();
    const circular: { self?: unknown } = {};
    circular.self = circular;
    app.agent.next({ events: [{ type: 'tool_use', tool: 'Odd', input: circular }] });
    const frames = await app.stream({ message: 'x', show_tool_use: true });
    const requestId = String(frames.response.headers.get('x-request-id'));
    const all = await collect(frames);
    expect(all.map(({ id, event }) => [id, event])).toEqual([
      ['1', 'start'],
      ['3', 'error'],
    ]);
    expect(all[1]?.data).toMatchObject({ code: 'internal_error', detail: 'internal error', request_id: requestId });
    expect(await app.requestLine(requestId)).toMatchObject({ stream_failed: true });
    expect(app.logs()).toContainEqual(expect.objectContaining({ level: 'error', request_id: requestId }));
  });

  it('is a plain problem for what is wrong before the run begins', async () => {
    await using app = await startApp();
    expectProblem(await app.post('/chat', { stream: true }), 400, 'invalid_request');
    app.breakVolumeAtSync();
    expectProblem(await app.post('/chat', { message: 'x', stream: true }), 503, 'not_durable');
  });

  it('breaks silence with a comment', async () => {
    await using app = await startApp({ settings: { heartbeatMs: 5 } });
    const hold = app.agent.hold();
    const response = await app.fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: 'x', stream: true }),
    });
    let text = '';
    let beats = 0;
    for await (const piece of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
      text += piece;
      if (piece === ': heartbeat\n\n' && ++beats === 3) hold.release();
    }
    expect(text).toMatch(/^id: 1\nevent: start\ndata: .*\n\n(: heartbeat\n\n){3}/);
    expect(text).toMatch(/event: done\ndata: .*\n\n$/);
  });

  it('breaks silence after 15 s, where nothing else is set', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const response = await app.fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ message: 'x', stream: true }),
    });
    // Read by the piece: a decoder in between would have asked for the next one already, with a real timer.
    const reader: ReadableStreamDefaultReader<Uint8Array> = (response.body ?? new ReadableStream()).getReader();
    const read = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await read()).toMatch(/^id: 1\nevent: start\n/);
    await hold.reached;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let piece: string | null = null;
    const reading = read().then((text) => {
      piece = text;
    });
    await vi.advanceTimersByTimeAsync(14_999);
    expect(piece).toBeNull();
    await vi.advanceTimersByTimeAsync(1);
    await reading;
    expect(piece).toBe(': heartbeat\n\n');
    vi.useRealTimers();
    hold.release();
    await reader.cancel();
  });

  it('reads no more from the run than the client takes', async () => {
    let taken = 0;
    await using app = await startApp(watchReads({ onEvent: () => taken++ }));
    app.agent.next({
      events: Array.from({ length: 1000 }, () => ({ type: 'text', text: 'x'.repeat(1000) }) as const),
    });
    const frames = await app.stream({ message: 'x' });
    await frames.next();
    await app.runs.stop({ graceMs: 60_000 });
    expect(taken).toBeLessThan(10);
    expect((await collect(frames)).length).toBe(1001);
  });
});

describe('a client that goes away', () => {
  it('ends the reading, not the run: the answer is stored', async () => {
    const reader = Promise.withResolvers<void>();
    await using app = await startApp(watchReads({ onEnd: () => reader.resolve() }));
    const hold = app.agent.hold([{ type: 'message' }, { type: 'text', text: 'Half' }]);
    const frames = await app.stream({ message: 'x' });
    await frames.next();
    const { conversationId } = await hold.reached;
    await frames.return();
    expect((await app.send(`/chat/${conversationId}`)).body.status).toBe('running');
    hold.release({ events: [{ type: 'text', text: ' and half.' }] });
    await reader.promise;
    await app.runs.stop({ graceMs: 60_000 });
    const messages = await app.send(`/chat/${conversationId}/messages`);
    expect(messages.body.messages).toMatchObject([{}, { content: 'Half and half.' }]);
  });
});

/** Looks over the shoulder of whoever reads a run's events. */
function watchReads(watch: { onEvent?: () => void; onEnd?: () => void }): AppInput {
  return {
    operations: (real) =>
      withStart(real, async (input) => {
        const run = await real.runs.start(input);
        const events = Object.create(run.events, {
          read: {
            value: async function* () {
              try {
                for await (const event of run.events.read()) {
                  watch.onEvent?.();
                  yield event;
                }
              } finally {
                watch.onEnd?.();
              }
            },
          },
        });
        return { ...run, events };
      }),
  };
}
