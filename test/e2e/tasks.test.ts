/** Scheduled tasks with the real server and the real claude process: set by the agent, run by a check, killed in mid-run. */

import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Model, type ModelRequest, startModel } from '../support/model.ts';
import { liveProcesses } from '../support/processes.ts';
import { post, startServer, type TestServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';
import { changeVolume } from '../support/volume-change.ts';

let model: Model;
let dir: string;

beforeAll(async () => {
  model = await startModel();
});
afterAll(() => model.stop());
beforeEach(() => {
  dir = temporaryFolder();
  model.mock.reset();
});

const task = z.looseObject({ id: z.string(), conversation_id: z.string().nullable(), next_run: z.string().nullable() });
const checkAnswer = z.looseObject({
  checked: z.int(),
  executed: z.looseObject({ status: z.string(), attempt: z.int(), result: z.string().nullable() }).optional(),
  remaining: z.int(),
  next_due_at: z.string().nullable(),
});
const taskRuns = z.looseObject({
  runs: z.array(
    z.looseObject({ status: z.string(), attempt: z.int(), slot: z.string().nullable(), started_at: z.string() }),
  ),
});

async function check(server: TestServer): Promise<z.infer<typeof checkAnswer>> {
  const response = await post(`${server.url}/task/check`, {});
  expect(response.status).toBe(200);
  return checkAnswer.parse(await response.json());
}

async function create(server: TestServer, body: object): Promise<z.infer<typeof task>> {
  const response = await post(`${server.url}/task`, body);
  expect(response.status).toBe(201);
  return task.parse(await response.json());
}

async function runsOf(server: TestServer, id: string): Promise<z.infer<typeof taskRuns>['runs']> {
  return taskRuns.parse((await server.get(`/task/${id}/runs`)).body).runs;
}

/** Local time, in the server's zone (UTC). */
function localTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19);
}

const longAgo = '2020-01-01T00:00';

function callTool(name: string, input: object) {
  return { content: '', toolCalls: [{ name: `mcp__picoclaw__${name}`, arguments: JSON.stringify(input) }] };
}

function lastUserText(request: ModelRequest | undefined): string {
  return JSON.stringify(request?.body.messages.filter(({ role }) => role === 'user').at(-1));
}

function transcripts(): string[] {
  return readdirSync(join(dir, 'memory/.claude'), { recursive: true, encoding: 'utf8' })
    .map((path) => basename(path))
    .filter((name) => name.endsWith('.jsonl'));
}

describe('a task', () => {
  it('that the agent sets itself in a chat is run by a check when it is due, and its message arrives in the answer', async () => {
    await using server = await startServer({ model, dir });
    const due = Date.now() + 3_000;
    model.mock.on({ userMessage: /remind me/, hasToolResult: false }, () =>
      callTool('schedule_task', {
        id: 'lamp',
        prompt: 'Remind Robin of the lamp.',
        schedule_type: 'once',
        schedule_value: localTime(due),
      }),
    );
    model.mock.on({ userMessage: /remind me/, hasToolResult: true }, { content: 'It is set.' });
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: false }, () =>
      callTool('send_message', { text: 'The lamp, Robin!', sender: 'lighthouse' }),
    );
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: true }, { content: 'Robin is reminded.' });

    const { conversation_id } = await server.chat({ message: 'please remind me of the lamp' });
    const set = task.parse((await server.get('/task/lamp')).body);
    expect(set).toMatchObject({ conversation_id, context_mode: 'group', schedule_type: 'once', status: 'active' });
    expect((await server.get('/health')).body.next_due_at).toBe(set.next_run);

    let checked = await check(server);
    await until('the task has run', async () => {
      if (checked.executed === undefined) checked = await check(server);
      return checked.executed !== undefined;
    });
    expect(checked.executed).toMatchObject({
      status: 'success',
      task_id: 'lamp',
      result: 'Robin is reminded.',
      attempt: 1,
      next_run: null,
      outbound_messages: [{ conversation_id, text: 'The lamp, Robin!', sender: 'lighthouse' }],
    });
    expect(checked).toMatchObject({ checked: 1, remaining: 0, next_due_at: null });
    const [run] = await runsOf(server, 'lamp');
    expect(run?.slot).toBe(set.next_run);
    expect(Date.parse(run?.started_at ?? '')).toBeGreaterThanOrEqual(Date.parse(set.next_run ?? ''));
    expect(run).toMatchObject({ outbound_messages: [{ text: 'The lamp, Robin!' }] });

    expect((await server.get('/task/lamp')).body).toMatchObject({
      status: 'completed',
      last_result: 'Robin is reminded.',
    });
    const { messages } = z
      .looseObject({ messages: z.array(z.looseObject({ role: z.string(), content: z.string() })) })
      .parse((await server.get(`/chat/${conversation_id}/messages`)).body);
    expect(messages).toMatchObject([
      { role: 'user', content: 'please remind me of the lamp' },
      { role: 'assistant', content: 'It is set.' },
      {
        role: 'user',
        content: expect.stringMatching(/^\[SCHEDULED TASK\]\nLocal time: .+ \(UTC\)\n\nRemind Robin of the lamp\.$/),
      },
      { role: 'assistant', content: 'Robin is reminded.' },
    ]);
    model.mock.on({ userMessage: /anything new/ }, { content: 'No.' });
    expect(await server.chat({ message: 'anything new?', conversation_id })).toMatchObject({ outbound_messages: [] });
  });

  it('that is isolated asks in a session of its own and leaves neither conversation nor transcript', async () => {
    await using server = await startServer({ model, dir });
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: false }, () =>
      callTool('send_message', { text: 'Done.' }),
    );
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: true }, { content: 'All is well.' });
    const made = await create(server, { prompt: 'Look around.', schedule_type: 'once', schedule_value: longAgo });
    expect(made).toMatchObject({ conversation_id: null, context_mode: 'isolated' });

    expect((await check(server)).executed).toMatchObject({
      status: 'success',
      result: 'All is well.',
      outbound_messages: [{ conversation_id: null, text: 'Done.' }],
    });
    expect(lastUserText(model.requests().find(({ raw }) => raw.includes('Look around.')))).toMatch(
      /\[SCHEDULED TASK\]\\nLocal time: .+ \(UTC\)\\n\\nLook around\./,
    );
    expect((await server.get('/chat')).body.conversations).toEqual([]);
    expect(transcripts()).toEqual([]);
    expect(await runsOf(server, made.id)).toMatchObject([
      { status: 'success', result: 'All is well.', outbound_messages: [{ text: 'Done.' }] },
    ]);
  });

  it('that cancels itself in its run ends normally and is answered', async () => {
    await using server = await startServer({ model, dir });
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: false }, () =>
      callTool('cancel_task', { task_id: 'last' }),
    );
    model.mock.on({ userMessage: /SCHEDULED TASK/, hasToolResult: true }, { content: 'I have cancelled it.' });
    await create(server, { id: 'last', prompt: 'Cancel yourself.', schedule_type: 'interval', schedule_value: '1000' });
    const response = await post(`${server.url}/task/trigger`, { task_id: 'last' });
    expect(await response.json()).toMatchObject({ status: 'success', result: 'I have cancelled it.', next_run: null });
    expect((await server.get('/task/last')).status).toBe(404);
    expect((await server.get('/tasks')).body.tasks).toEqual([]);
  });
});

describe('a message that the agent sends', () => {
  it('reaches a streaming client while the agent still works, and is repeated before done', async () => {
    await using server = await startServer({ model, dir });
    model.mock.on({ userMessage: /report/, hasToolResult: false }, () =>
      callTool('send_message', { text: 'Half way.', sender: 'scout' }),
    );
    model.mock.on({ userMessage: /report/, hasToolResult: true }, { content: 'Arrived.' });
    const hold = model.fault({ kind: 'hold', when: ({ raw }) => raw.includes('tool_result') });
    const seen: { event: string | undefined; data: Record<string, unknown> }[] = [];
    for await (const { event, data } of server.stream({ message: 'report on the way' })) {
      seen.push({ event, data });
      if (event === 'outbound') {
        // The model has not answered the tool's result yet.
        await hold.reached;
        hold.release();
      }
    }
    expect(seen.map(({ event }) => event)).toEqual(['start', 'outbound', 'chunk', 'chunk', 'done']);
    expect(seen[1]?.data).toEqual({ text: 'Half way.', sender: 'scout' });
    expect(seen[2]?.data).toEqual({ text: 'Arrived.' });
    expect(seen[3]?.data).toEqual({ text: 'Half way.', sender: 'scout' });
    expect(seen[4]?.data).toMatchObject({ result: 'Arrived.', outbound_messages: [{ text: 'Half way.' }] });
  });
});

describe('when the server ends during a task', () => {
  /** As if the time of the lease had passed; the server is not running. */
  function expireLeases(): Promise<void> {
    return changeVolume(dir, async (_, db) =>
      db.exec(
        `update scheduled_tasks set lease_expires_at = '2020-01-01T00:00:00.000Z' where lease_expires_at is not null`,
      ),
    );
  }

  async function startTask(
    server: TestServer,
  ): Promise<{ id: string; answer: Promise<Response>; release: () => void }> {
    model.mock.on({ userMessage: /SCHEDULED TASK/ }, { content: 'The work is done.' });
    const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('SCHEDULED TASK') });
    const { id } = await create(server, { prompt: 'Work.', schedule_type: 'once', schedule_value: longAgo });
    const answer = post(`${server.url}/task/check`, {});
    answer.catch(() => undefined);
    await stall.reached;
    return { id, answer, release: stall.release };
  }

  it('by SIGKILL: the slot is tried again after the lease, with attempt 2, and not a third time', async () => {
    await using first = await startServer({ model, dir });
    const { id, release } = await startTask(first);
    first.kill('SIGKILL');
    await first.exited;
    release();
    await expect.poll(() => liveProcesses(dir)).toEqual([]);

    await using second = await startServer({ model, dir });
    const early = await check(second);
    expect(early).toMatchObject({ checked: 0, remaining: 0 });
    expect(Date.parse(early.next_due_at ?? ''), 'the end of the lease').toBeGreaterThan(Date.now() - 1_000);
    expect(await runsOf(second, id)).toMatchObject([{ status: 'interrupted', attempt: 1 }]);
    expect((await second.get(`/task/${id}`)).body).toMatchObject({ status: 'active', last_status: 'interrupted' });
    second.kill('SIGTERM');
    expect(await second.exited).toBe(0);

    await expireLeases();
    await using third = await startServer({ model, dir });
    expect((await check(third)).executed).toMatchObject({ status: 'success', attempt: 2, result: 'The work is done.' });
    expect(await check(third)).toMatchObject({ checked: 0, next_due_at: null });
    expect(await runsOf(third, id)).toMatchObject([
      { status: 'success', attempt: 2 },
      { status: 'interrupted', attempt: 1 },
    ]);
    expect((await third.get(`/task/${id}`)).body).toMatchObject({ status: 'completed', last_status: 'success' });
    expect(transcripts(), 'of the attempt that was cut off, too').toEqual([]);
  });

  it('by a shutdown: the run is cancelled, and its slot is tried again at once by the next server', async () => {
    await using first = await startServer({ model, dir, env: { SHUTDOWN_GRACE_MS: '100' } });
    const { id, answer } = await startTask(first);
    first.kill('SIGTERM');
    expect(await (await answer).json()).toMatchObject({
      executed: { status: 'error', error_code: 'run_cancelled', attempt: 1 },
    });
    expect(await first.exited).toBe(0);

    await using second = await startServer({ model, dir });
    expect((await check(second)).executed).toMatchObject({ status: 'success', attempt: 2 });
    expect(await runsOf(second, id)).toMatchObject([{ status: 'success' }, { status: 'cancelled' }]);
  });
});
