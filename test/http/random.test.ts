/**
 * Random bodies and query strings: none brings out a 500 or anything but JSON, and none that is refused leaves a trace.
 *
 * What is valid is decided here a second time, by a table of its own and not by the schema: a request that the table calls
 * valid must succeed, any other must be refused.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startApp, type TestApp } from '../support/http-app.ts';
import type { Json } from '../support/http-instance.ts';

const seed = 20_260_131;
const parameters = { seed, verbose: 1 } as const;

const valid: Record<string, fc.Arbitrary<unknown>> = {
  message: fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `m${text.replaceAll('\0', '')}`),
  sender: fc.stringMatching(/^[a-z]{1,20}$/),
  sender_name: fc.stringMatching(/^[A-Z][a-z]{1,20}$/),
  max_execution_ms: fc.integer({ min: 1000, max: 2 ** 40 }),
  show_tool_use: fc.boolean(),
  model: fc.stringMatching(/^claude-[a-z0-9-]{1,20}$/),
  max_turns: fc.integer({ min: 1, max: 1000 }),
  max_budget_usd: fc.double({ min: 0.001, max: 1000, noNaN: true }),
  effort: fc.constantFrom('low', 'medium', 'high', 'xhigh', 'max'),
  mcp_servers: fc.dictionary(
    fc.stringMatching(/^[a-z]{1,9}$/).filter((name) => name !== 'picoclaw'),
    fc.record({ url: fc.webUrl(), headers: fc.constant({ 'X-A': 'b' }) }, { requiredKeys: ['url'] }),
  ),
};
const validBody = fc.record(valid, { requiredKeys: ['message'] });

/** Values that are wrong for every field that they are put into. */
const wrong = fc.oneof(
  fc.constantFrom(null, '', ' ', -1, 0, 0.5, 'true', '10', [], [1], { a: [] }, { picoclaw: { url: 'http://a' } }),
  fc.constantFrom('\ud800', 'a\0b', { x: { command: 'sh' } }, { x: { url: 'nope' } }),
);
const wrongFor: Record<string, (value: unknown) => boolean> = {
  message: (value) => typeof value !== 'string' || value.trim() === '' || value === '\ud800' || value === 'a\0b',
  max_budget_usd: (value) => value !== 0.5,
  sender: (value) => value !== 'true' && value !== '10',
  sender_name: (value) => value !== 'true' && value !== '10',
  model: (value) => value !== 'true' && value !== '10',
};
const mutations = fc.oneof(
  fc
    .tuple(fc.constantFrom(...Object.keys(valid)), wrong)
    .filter(([field, value]) => wrongFor[field]?.(value) ?? true)
    .map(([field, value]) => ({ [field]: value })),
  fc
    .tuple(
      fc.string({ minLength: 1 }).filter((name) => !(name in valid) && !known.has(name)),
      fc.jsonValue(),
    )
    .map(([field, value]) => ({ [field]: value })),
  fc.constant({ message: undefined }),
);
const known = new Set(['conversation_id', 'stream', 'thinking', 'max_thinking_tokens', '__proto__']);

async function post(app: TestApp, path: string, text: string) {
  const answer = await app.send(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: Buffer.from(text),
  });
  expect(answer.status).not.toBe(500);
  return answer;
}

async function expectRefused(app: TestApp, path: string, text: string) {
  const before = app.rows();
  const { status } = await post(app, path, text);
  expect([400, 403, 404]).toContain(status);
  expect(app.rows()).toEqual(before);
}

const lists = ['/chat', '/tasks'];

const someTask = { prompt: 'x', schedule_type: 'interval', schedule_value: '60000' };
const schedule = fc.oneof(
  fc.integer({ min: 1000, max: 2 ** 40 }).map((ms) => ({ schedule_type: 'interval', schedule_value: String(ms) })),
  fc
    .tuple(fc.integer({ min: 0, max: 59 }), fc.integer({ min: 0, max: 23 }), fc.constantFrom('*', 'MON', '1-5'))
    .map(([minute, hour, day]) => ({ schedule_type: 'cron', schedule_value: `${minute} ${hour} * * ${day}` })),
  fc
    .date({ min: new Date('2001-01-01T00:00:00Z'), max: new Date('2100-01-01T00:00:00Z'), noInvalidDate: true })
    .map((date) => ({ schedule_type: 'once', schedule_value: date.toISOString().slice(0, 19) })),
);
const validTask = fc
  .tuple(
    fc.record(
      {
        id: fc.uuid(),
        prompt: fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `p${text.replaceAll('\0', '')}`),
        timezone: fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe'),
        model: fc.stringMatching(/^claude-[a-z0-9-]{1,20}$/),
        max_execution_ms: fc.integer({ min: 1, max: 2 ** 40 }),
        max_attempts: fc.integer({ min: 1, max: 100 }),
      },
      { requiredKeys: ['prompt'] },
    ),
    schedule,
    fc.constantFrom({}, { context_mode: 'isolated' }, { context_mode: 'group', conversation_id: 'conv-random' }),
  )
  .map(([body, when, place]): Json => ({ ...body, ...when, ...place }));

/** What of a new task is a change of one. */
function changeOf({ id: _, ...body }: Json): Json {
  return body;
}

/** For every field that a task has, and for none. */
const wrongInTask: fc.Arbitrary<Json> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('prompt', 'schedule_type', 'schedule_value', 'context_mode', 'max_attempts'),
      fc.constantFrom(null, '', ' ', -1, 0, 0.5, 101, [], {}, '\ud800', 'a\0b', true),
    )
    .map(([field, value]) => ({ [field]: value })),
  fc
    .tuple(fc.constantFrom('timezone', 'model', 'conversation_id'), fc.constantFrom('', ' ', 1, [], '\ud800', true))
    .map(([field, value]) => ({ [field]: value })),
  fc.constantFrom<Json>(
    { schedule_type: 'interval', schedule_value: '5m' },
    { schedule_type: 'cron', schedule_value: '61 * * * *' },
    { schedule_type: 'once', schedule_value: '2026-02-30T00:00' },
    { timezone: 'Mars/Olympus' },
    { max_execution_ms: 0 },
    { nope: 1 },
  ),
);

describe(`random requests (seed ${seed})`, () => {
  it('a valid body succeeds, whatever it holds', async () => {
    await using app = await startApp();
    await fc.assert(
      fc.asyncProperty(validBody, async (body) => {
        const { status, body: answer } = await post(app, '/chat', JSON.stringify(body));
        expect([status, answer.status]).toEqual([200, 'success']);
      }),
      { ...parameters, numRuns: 150 },
    );
  });

  it('a valid body with one thing wrong is refused, and nothing of it is stored', async () => {
    await using app = await startApp();
    await fc.assert(
      fc.asyncProperty(validBody, mutations, async (body, mutation) => {
        await expectRefused(app, '/chat', JSON.stringify({ ...body, ...mutation }));
      }),
      { ...parameters, numRuns: 900 },
    );
  });

  it('JSON of any kind is refused', async () => {
    await using app = await startApp();
    const anything = fc.jsonValue({ maxDepth: 5 }).filter((value) => !isChat(value));
    await fc.assert(
      fc.asyncProperty(anything, async (value) => expectRefused(app, '/chat', JSON.stringify(value))),
      { ...parameters, numRuns: 400 },
    );
  });

  it('a body that is cut off or has a byte changed is answered as JSON, and refused or whole', async () => {
    await using app = await startApp();
    const damaged = fc.tuple(validBody, fc.nat(), fc.option(fc.nat(255))).map(([body, at, byte]) => {
      const bytes = Buffer.from(JSON.stringify(body));
      if (byte === null) return bytes.subarray(0, at % bytes.length);
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    await fc.assert(
      fc.asyncProperty(damaged, async (body) => {
        const before = app.rows();
        const answer = await app.send('/chat', {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: new Uint8Array(body),
        });
        expect([200, 400, 404]).toContain(answer.status);
        if (answer.status !== 200) expect(app.rows()).toEqual(before);
      }),
      { ...parameters, numRuns: 300 },
    );
  });

  it('POST /control/stop with anything but a reason is refused and stops nothing', async () => {
    await using app = await startApp();
    const body = fc.oneof(
      fc.jsonValue().filter((value) => !isStop(value)),
      fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }).filter((value) => !isStop(value)),
    );
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        await expectRefused(app, '/control/stop', JSON.stringify(value));
        expect(app.stopReasons).toEqual([]);
      }),
      { ...parameters, numRuns: 200 },
    );
  });

  it('a valid task is made, and answered as it was given', async () => {
    await using app = await startApp();
    await fc.assert(
      fc.asyncProperty(validTask, async (body) => {
        const { status, body: task } = await post(app, '/task', JSON.stringify(body));
        expect([status, task]).toMatchObject([201, body]);
        expect((await app.send(`/task/${String(task.id)}`)).body).toEqual(task);
        expect((await app.put(`/task/${String(task.id)}`, changeOf(body))).body).toEqual(task);
      }),
      { ...parameters, numRuns: 100 },
    );
  });

  it('a valid task with one thing wrong is refused, new or changed, and nothing of it is stored', async () => {
    await using app = await startApp();
    const there = (await post(app, '/task', JSON.stringify({ ...someTask, id: 'there' }))).body;
    await fc.assert(
      fc.asyncProperty(validTask, wrongInTask, async (body, mutation) => {
        await expectRefused(app, '/task', JSON.stringify({ ...body, ...mutation }));
        const before = app.rows();
        const { status } = await app.put('/task/there', { ...changeOf(body), ...mutation });
        expect(status).toBe(400);
        expect(app.rows()).toEqual(before);
        expect((await app.send('/task/there')).body).toEqual(there);
      }),
      { ...parameters, numRuns: 300 },
    );
  });

  it('JSON of any kind is refused by the routes of tasks and of outbound messages', async () => {
    await using app = await startApp();
    await post(app, '/task', JSON.stringify({ ...someTask, id: 'there', context_mode: 'group', conversation_id: 'c' }));
    const path = fc.constantFrom('/task', '/task/trigger', '/task/check', '/chat/c/outbound');
    const anything = fc.oneof(
      fc.jsonValue({ maxDepth: 4 }).filter((value) => JSON.stringify(value) !== '{}'),
      fc
        .dictionary(fc.constantFrom('task_id', 'max', 'text', 'prompt', 'id'), wrong, { minKeys: 1 })
        .filter((value) => !isOutbound(value)),
    );
    await fc.assert(
      fc.asyncProperty(path, anything, async (at, value) => expectRefused(app, at, JSON.stringify(value))),
      { ...parameters, numRuns: 400 },
    );
    expect(app.agent.requests).toEqual([]);
  });

  it('a query string of any kind is answered as JSON: 200 only when it holds nothing but a good limit', async () => {
    await using app = await startApp();
    const path = fc.constantFrom(...lists, '/chat/x', '/chat/x/messages', '/task/x/runs', '/health', '/nope');
    const query = fc.oneof(
      fc.webQueryParameters(),
      fc
        .tuple(fc.constantFrom('limit', 'cursor', 'x', '__proto__'), fc.string())
        .map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`),
    );
    await fc.assert(
      fc.asyncProperty(path, query, async (at, text) => {
        const { status } = await app.send(`${at}?${text}`);
        const good = at !== '/nope' && (text === '' || (/^limit=[1-9]\d?$/.test(text) && lists.includes(at)));
        if (status === 200) expect(good).toBe(true);
        else expect([400, 404]).toContain(status);
      }),
      { ...parameters, numRuns: 250 },
    );
  });
});

function isChat(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'message' in value;
}

function isOutbound(value: Json): boolean {
  return Object.keys(value).join() === 'text' && ['true', '10'].includes(String(value.text));
}

function isStop(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.keys(value).every((key) => key === 'reason');
}
