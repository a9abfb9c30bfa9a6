/** Making, reading, changing and deleting tasks. */

import { describe, expect, it } from 'vitest';
import { expectProblem, faultsOf, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import { makeGate } from '../support/http-gate.ts';
import type { Answer, Json } from '../support/http-instance.ts';
import { listOf, makeTask, minutely, readTask, soon } from '../support/http-tasks.ts';

const start = () => startApp({ clock: makeClock() });

async function beginConversation(app: TestApp): Promise<string> {
  return String((await app.post('/chat', { message: 'x' })).body.conversation_id);
}

function expectUnchanged(app: TestApp, before: Record<string, number>) {
  expect(app.rows()).toEqual(before);
}

describe('POST /task', () => {
  it('makes a task of a prompt and a schedule, and answers with every member of the contract', async () => {
    await using app = await start();
    const answer = await app.post('/task', soon);
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^task-[0-9a-f-]{36}$/),
      conversation_id: null,
      prompt: 'Say hello.',
      schedule_type: 'once',
      schedule_value: '2026-03-02T12:01:00',
      context_mode: 'isolated',
      timezone: 'UTC',
      next_run: '2026-03-02T12:01:00.000Z',
      last_run: null,
      last_result: null,
      last_status: null,
      status: 'active',
      created_at: '2026-03-02T12:00:00.000Z',
      model: null,
      max_execution_ms: null,
      max_attempts: 3,
    });
  });

  it('takes every field, and is on the volume with all of them when it is answered', async () => {
    await using app = await start();
    const conversation_id = await beginConversation(app);
    const given = {
      id: 'Daily.news_1-a',
      conversation_id,
      prompt: '  What is new?\n',
      schedule_type: 'cron',
      schedule_value: '0 9 * * *',
      context_mode: 'group',
      timezone: 'Europe/Berlin',
      model: 'claude-test',
      max_execution_ms: 5000,
      max_attempts: 7,
    };
    expect(await makeTask(app, given)).toMatchObject({ ...given, next_run: '2026-03-03T08:00:00.000Z' });
    expect(app.onVolume('select * from scheduled_tasks')).toMatchObject([given]);
  });

  it('is answered with the object that every other route has for it', async () => {
    await using app = await start();
    const task = await makeTask(app, minutely);
    expect(await readTask(app, task.id)).toEqual(task);
    expect((await app.send('/tasks')).body.tasks).toEqual([task]);
    expect((await app.put(`/task/${String(task.id)}`, {})).body).toEqual(task);
  });

  it.each([
    ['cron', '30 8 * * TUE', {}, '2026-03-03T16:30:00.000Z'],
    ['cron', '30 8 * * TUE', { timezone: 'Asia/Kolkata' }, '2026-03-03T03:00:00.000Z'],
    ['cron', '*/10 * * * * *', {}, '2026-03-02T12:00:10.000Z'],
    ['cron', '@daily', {}, '2026-03-03T08:00:00.000Z'],
    ['interval', '90000', {}, '2026-03-02T12:01:30.000Z'],
    ['once', '2026-07-01T09:30', {}, '2026-07-01T16:30:00.000Z'],
    ['once', '2026-07-01T09:30:15', { timezone: 'UTC' }, '2026-07-01T09:30:15.000Z'],
    ['once', '2020-01-01T00:00', { timezone: 'UTC' }, '2020-01-01T00:00:00.000Z'],
  ])('reads %s %s %o in its zone, or else in that of the server', async (type, value, zone, next_run) => {
    await using app = await startApp({ clock: makeClock(), timezone: 'America/Los_Angeles' });
    const task = await makeTask(app, { prompt: 'x', schedule_type: type, schedule_value: value, ...zone });
    expect(task).toMatchObject({ next_run, timezone: 'America/Los_Angeles', ...zone });
  });

  it('makes the conversation of a group task that is not there, as 1.x did', async () => {
    await using app = await start();
    await makeTask(app, { ...soon, context_mode: 'group', conversation_id: 'team-chat' });
    expect((await app.send('/chat/team-chat')).body).toMatchObject({ status: 'idle', message_count: 0 });
  });

  it('makes no conversation for an isolated task', async () => {
    await using app = await start();
    await makeTask(app, soon);
    expect((await app.send('/chat')).body.conversations).toEqual([]);
    const before = app.rows();
    const answer = await app.post('/task', { ...soon, conversation_id: 'conv-nope' });
    expectProblem(answer, 404, 'not_found');
    expect(answer.body.conversation_id).toBe('conv-nope');
    expectUnchanged(app, before);
  });

  it('deletes an isolated task with the conversation that it belongs to', async () => {
    await using app = await start();
    const conversation_id = await beginConversation(app);
    const task = await makeTask(app, { ...soon, conversation_id });
    expect(task).toMatchObject({ conversation_id, context_mode: 'isolated' });
    await app.delete(`/chat/${conversation_id}`);
    expectProblem(await app.send(`/task/${String(task.id)}`), 404, 'not_found');
  });

  it('with an id that is taken is a 409, and the task there stays as it is', async () => {
    await using app = await start();
    const task = await makeTask(app, { ...soon, id: 'same' });
    const before = app.rows();
    const other = { ...minutely, id: 'same', context_mode: 'group', conversation_id: 'conv-new' };
    const answer = await app.post('/task', other);
    expectProblem(answer, 409, 'task_exists');
    expect(answer.body).toMatchObject({ task_id: 'same', retryable: false });
    expect(String(answer.body.detail)).not.toMatch(/sqlite|constraint/i);
    expectUnchanged(app, before);
    expect(await readTask(app, 'same')).toEqual(task);
  });

  it('with one id, many at once, makes one task', async () => {
    await using app = await start();
    const answers = await Promise.all(Array.from({ length: 8 }, () => app.post('/task', { ...soon, id: 'same' })));
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409, 409, 409]);
  });

  it('is a 503 that leaves no task while it cannot be made durable', async () => {
    await using app = await start();
    app.breakVolumeAtSync();
    const answer = await app.post('/task', { ...soon, id: 'lost' });
    expectProblem(answer, 503, 'not_durable');
    expect(answer.body.task_id).toBe('lost');
    app.repairVolume();
    expectProblem(await app.send('/task/lost'), 404, 'not_found');
    await makeTask(app, { ...soon, id: 'lost' });
  });

  it('is not on the volume either after such a 503, though the sync of another had carried it there', async () => {
    const gate = makeGate();
    await using app = await startApp({ clock: makeClock(), ...gate });
    const onVolume = () => app.onVolume('select id from scheduled_tasks order by id');
    const refusal = gate.hold();
    const refused = app.post('/task', { ...soon, id: 'refused' });
    await refusal.arrived;
    await makeTask(app, { ...soon, id: 'other' });
    expect(onVolume()).toEqual([{ id: 'other' }, { id: 'refused' }]);
    refusal.fail();
    expectProblem(await refused, 503, 'not_durable');
    expect(onVolume()).toEqual([{ id: 'other' }]);
  });
});

describe('GET /tasks', () => {
  it('is empty at first', async () => {
    await using app = await start();
    expect((await app.send('/tasks')).body).toEqual({ tasks: [], next_cursor: null, next_due_at: null });
  });

  it('lists tasks newest first, each on one page', async () => {
    await using app = await start();
    for (const id of ['a', 'b', 'c', 'd', 'e']) await makeTask(app, { ...soon, id });
    const seen: unknown[] = [];
    let path = '/tasks?limit=2';
    for (let pages = 1; ; pages++) {
      const { tasks, next_cursor } = (await app.send(path)).body;
      seen.push(...listOf(tasks).map(({ id }) => id));
      if (next_cursor === null) {
        expect(pages).toBe(3);
        break;
      }
      path = `/tasks?limit=2&cursor=${encodeURIComponent(String(next_cursor))}`;
    }
    expect(seen).toEqual(['e', 'd', 'c', 'b', 'a']);
  });

  it('tells when a check may next find something: at the earliest slot of an active task', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const nextDueAt = async () => (await app.send('/tasks')).body.next_due_at;
    await makeTask(app, { ...minutely, id: 'a' });
    await makeTask(app, { ...minutely, id: 'b', schedule_value: '30000' });
    expect(await nextDueAt()).toBe('2026-03-02T12:00:30.000Z');
    await app.put('/task/b', { status: 'paused' });
    expect(await nextDueAt()).toBe('2026-03-02T12:01:00.000Z');
    clock.advance({ hours: 1 });
    expect(await nextDueAt()).toBe('2026-03-02T12:01:00.000Z');
    await app.put('/task/a', { status: 'completed' });
    expect(await nextDueAt()).toBeNull();
  });
});

describe('PUT /task/:id', () => {
  /** A task of which everything is set, changed at a later time than that of its making. */
  async function change(body: Json, given: Json = {}): Promise<{ before: Json; answer: Answer; after: Json }> {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await beginConversation(app);
    const conversations = listOf((await app.send('/chat')).body.conversations);
    const conversation_id = conversations[0]?.id;
    const before = await makeTask(app, { ...everything, conversation_id, ...given });
    clock.advance({ seconds: 20 });
    const answer = await app.put('/task/full', body);
    const after = await readTask(app, 'full');
    expect(app.onVolume('select prompt, next_run from scheduled_tasks')).toEqual([
      { prompt: after.prompt, next_run: after.next_run },
    ]);
    return { before, answer, after };
  }

  const everything = {
    ...minutely,
    id: 'full',
    context_mode: 'group',
    timezone: 'Asia/Kolkata',
    model: 'claude-test',
    max_execution_ms: 5000,
    max_attempts: 7,
  };

  it.each<[Json]>([
    [{}],
    [{ prompt: 'Something else.' }],
    [{ context_mode: 'isolated' }],
    [{ conversation_id: 'conv-other' }],
    [{ context_mode: 'isolated', conversation_id: null }],
    [{ timezone: 'Europe/Berlin' }],
    [{ model: 'claude-other' }],
    [{ model: null }],
    [{ max_execution_ms: 9000 }],
    [{ max_execution_ms: null }],
    [{ max_attempts: 1 }],
    [{ status: 'paused' }],
    [{ schedule_type: 'interval', schedule_value: '60000' }],
    [{ prompt: 'Something else.', model: null, max_attempts: 100 }],
  ])('with %o changes that and nothing else, next_run included', async (body) => {
    const { before, answer, after } = await change(body);
    expect(answer).toMatchObject({ status: 200, body: { ...before, ...body } });
    expect(answer.body).toEqual(after);
  });

  it("with timezone: null follows the server's again", async () => {
    const { answer } = await change({ timezone: null });
    expect(answer).toMatchObject({ status: 200, body: { timezone: 'UTC' } });
  });

  it.each<[string, Json, Json, string]>([
    ['another interval', {}, { schedule_value: '90000' }, '2026-03-02T12:01:50.000Z'],
    ['a cron', {}, { schedule_type: 'cron', schedule_value: '0 18 * * *' }, '2026-03-02T12:30:00.000Z'],
    [
      'a once',
      {},
      { schedule_type: 'once', schedule_value: '2026-03-05T00:00', timezone: 'UTC' },
      '2026-03-05T00:00:00.000Z',
    ],
    [
      'another zone of a cron',
      { schedule_type: 'cron', schedule_value: '0 9 * * *' },
      { timezone: 'Europe/Berlin' },
      '2026-03-03T08:00:00.000Z',
    ],
  ])('with %s begins anew from now', async (_, given, body, next_run) => {
    const { answer, before } = await change(body, given);
    expect(answer).toMatchObject({ status: 200, body: { ...before, ...body, next_run } });
  });

  it('with a new schedule reactivates a completed task, unless it says completed itself', async () => {
    await using app = await start();
    await makeTask(app, { ...soon, id: 'a' });
    const completed = await app.put('/task/a', { status: 'completed' });
    expect(completed.body).toMatchObject({ status: 'completed', next_run: null });
    const still = await app.put('/task/a', { schedule_value: '2026-03-02T13:00', status: 'completed' });
    expect(still.body).toMatchObject({ status: 'completed', next_run: null });
    const again = await app.put('/task/a', { schedule_value: '2026-03-02T14:00' });
    expect(again.body).toMatchObject({ status: 'active', next_run: '2026-03-02T14:00:00.000Z' });
  });

  it('with a new schedule leaves a paused task paused', async () => {
    await using app = await start();
    await makeTask(app, { ...minutely, id: 'a' });
    await app.put('/task/a', { status: 'paused' });
    const changed = await app.put('/task/a', { schedule_value: '90000' });
    expect(changed.body).toMatchObject({ status: 'paused', next_run: '2026-03-02T12:01:30.000Z' });
  });

  it.each<[string, Json, string]>([
    ['an interval, in its phase', minutely, '2026-03-02T14:31:00.000Z'],
    ['a cron', { ...minutely, schedule_type: 'cron', schedule_value: '15 * * * *' }, '2026-03-02T15:15:00.000Z'],
    ['a once, which is due now', soon, '2026-03-02T12:01:00.000Z'],
  ])('with status: "active" resumes %s', async (_, body, next_run) => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...body, id: 'a' });
    await app.put('/task/a', { status: 'paused' });
    clock.set('2026-03-02T14:30:20.000Z');
    expect((await app.put('/task/a', { status: 'active' })).body).toMatchObject({ status: 'active', next_run });
  });

  it('with status: "active" in time leaves next_run where it is', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const task = await makeTask(app, { ...minutely, id: 'a' });
    await app.put('/task/a', { status: 'paused' });
    clock.advance({ seconds: 50 });
    expect((await app.put('/task/a', { status: 'active' })).body).toEqual(task);
  });

  it('with status: "active" revives a completed task by its schedule, but not a once that is past', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    for (const [id, body] of Object.entries({ a: minutely, b: soon })) {
      await makeTask(app, { ...body, id });
      await app.put(`/task/${id}`, { status: 'completed' });
    }
    clock.advance({ hours: 1 });
    const revived = await app.put('/task/a', { status: 'active' });
    expect(revived.body).toMatchObject({ status: 'active', next_run: '2026-03-02T13:01:00.000Z' });
    const refused = await app.put('/task/b', { status: 'active' });
    expectProblem(refused, 400, 'invalid_request');
    expect(Object.keys(faultsOf(refused.body))).toEqual(['status']);
    expect(await readTask(app, 'b')).toMatchObject({ status: 'completed' });
  });

  it('makes the conversation of a group task that is not there, and none for an isolated one', async () => {
    await using app = await start();
    const task = await makeTask(app, { ...soon, id: 'a' });
    const before = app.rows();
    expectProblem(await app.put('/task/a', { conversation_id: 'conv-nope', prompt: 'y' }), 404, 'not_found');
    expectUnchanged(app, before);
    expect(await readTask(app, 'a')).toEqual(task);
    const moved = await app.put('/task/a', { context_mode: 'group', conversation_id: 'conv-new' });
    expect(moved).toMatchObject({ status: 200, body: { context_mode: 'group', conversation_id: 'conv-new' } });
    expect((await app.send('/chat/conv-new')).body).toMatchObject({ message_count: 0 });
  });

  it('is a 503 while it cannot be made durable', async () => {
    await using app = await start();
    await makeTask(app, { ...soon, id: 'a' });
    app.breakVolumeAtSync();
    const answer = await app.put('/task/a', { prompt: 'y' });
    expectProblem(answer, 503, 'not_durable');
    expect(answer.body.task_id).toBe('a');
  });
});

describe('DELETE /task/:id', () => {
  it('removes the task and its run log, from the volume too', async () => {
    await using app = await start();
    const before = app.rows();
    await makeTask(app, { ...soon, id: 'a' });
    await app.post('/task/trigger', { task_id: 'a' });
    const response = await app.fetch('/task/a', { method: 'DELETE' });
    expect([response.status, await response.text()]).toEqual([204, '']);
    expectProblem(await app.send('/task/a'), 404, 'not_found');
    expectUnchanged(app, before);
    expect(app.onVolume('select id from scheduled_tasks')).toEqual([]);
  });

  it('is a 503 until it is on the volume, and no 404 before', async () => {
    await using app = await start();
    await makeTask(app, { ...soon, id: 'a' });
    for (const _ of ['once', 'and again']) {
      app.breakVolumeAtSync();
      const answer = await app.delete('/task/a');
      expectProblem(answer, 503, 'not_durable');
      expect(answer.body.task_id).toBe('a');
      app.repairVolume();
    }
    expectProblem(await app.delete('/task/a'), 404, 'not_found');
  });
});

describe('an unknown task', () => {
  it.each([
    ['GET', '/task/nope', undefined],
    ['PUT', '/task/nope', { prompt: 'x' }],
    ['DELETE', '/task/nope', undefined],
    ['GET', '/task/nope/runs', undefined],
    ['POST', '/task/trigger', { task_id: 'nope' }],
  ])('is a 404 for %s %s', async (method, path, body) => {
    await using app = await start();
    const before = app.rows();
    const answer = await app.send(path, { method, ...(body ? { body: JSON.stringify(body) } : {}), headers: json });
    expectProblem(answer, 404, 'not_found');
    expect(answer.body).toMatchObject({ error: 'task not found: nope', task_id: 'nope', retryable: false });
    expectUnchanged(app, before);
  });

  const json = { 'content-type': 'application/json' };
});

describe('a path of tasks with a method that it has not', () => {
  it.each([
    ['GET', '/task', 'POST'],
    ['POST', '/tasks', 'GET, HEAD'],
    ['POST', '/task/x', 'GET, HEAD, PUT, DELETE'],
    ['DELETE', '/task/x/runs', 'GET, HEAD'],
    ['GET', '/task/check', 'POST'],
    ['HEAD', '/task/check', 'POST'],
    ['PUT', '/task/check', 'POST'],
    ['DELETE', '/task/check/', 'POST'],
    ['PATCH', '/task/check', 'POST'],
    ['GET', '/task/trigger', 'POST'],
    ['DELETE', '/task/%74rigger', 'POST'],
    ['PUT', '/chat/x/outbound', 'POST'],
  ])('%s %s is a 405 that lists the methods', async (method, path, allow) => {
    await using app = await start();
    const response = await app.fetch(path, { method });
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow]);
  });
});
