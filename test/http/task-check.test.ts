/** Which task a check runs, what it answers, and that a slot is run once, however many checks there are. */

import { describe, expect, it } from 'vitest';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock, type SetClock } from '../support/http-clock.ts';
import type { Json } from '../support/http-instance.ts';
import { listOf, makeTask, minutely, objectOf, readRuns, readTask, soon } from '../support/http-tasks.ts';

/** Tasks that are due at 12:01:00, 12:01:01, …, a second after another. */
async function makeDue(app: TestApp, clock: SetClock, ids: string[], body: Json = {}): Promise<void> {
  for (const [n, id] of ids.entries())
    await makeTask(app, { ...soon, schedule_value: `2026-03-02T12:01:${String(n).padStart(2, '0')}`, id, ...body });
  clock.set('2026-03-02T12:05:00.000Z');
}

const check = (app: TestApp, body: object = {}) => app.post('/task/check', body);

describe('POST /task/check', () => {
  it('says so when nothing is due, and when to come back', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const nothing = { checked: 0, message: 'No due tasks', remaining: 0 };
    expect(await check(app)).toMatchObject({ status: 200, body: { ...nothing, next_due_at: null } });
    await makeTask(app, soon);
    expect((await check(app)).body).toEqual({ ...nothing, next_due_at: '2026-03-02T12:01:00.000Z' });
    expect(app.agent.requests).toEqual([]);
  });

  it('runs a task from the moment on that it is due, and answers with every member of the contract', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...minutely, id: 'a' });
    clock.set('2026-03-02T12:00:59.999Z');
    expect((await check(app)).body.checked).toBe(0);
    clock.set('2026-03-02T12:01:00.000Z');
    const { status, body } = await check(app);
    expect(status).toBe(200);
    expect(body).toEqual({
      checked: 1,
      executed: {
        status: 'success',
        task_id: 'a',
        result: 'Hello.',
        duration_ms: expect.any(Number),
        next_run: '2026-03-02T12:02:00.000Z',
        outbound_messages: [],
        run_id: expect.stringMatching(/^run-/),
        attempt: 1,
        conversation_id: null,
        usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 },
        cost_usd: 0.0125,
        session_end_marker_detected: false,
      },
      remaining: 0,
      next_due_at: '2026-03-02T12:02:00.000Z',
    });
    expect(Object.keys(objectOf(body.executed)).slice(0, 2)).toEqual(['status', 'task_id']);
  });

  it('needs no body', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeDue(app, clock, ['a']);
    const { body } = await app.send('/task/check', { method: 'POST' });
    expect(body).toMatchObject({ checked: 1, executed: { task_id: 'a' } });
    expect(body).not.toHaveProperty('runs');
  });

  it('asks the agent for the prompt after the local time, with the options of the task', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock, settings: { maxExecutionMs: 60_000 } });
    await makeTask(app, {
      ...soon,
      prompt: ' Umbrella?\n',
      timezone: 'Asia/Kolkata',
      schedule_value: '2026-03-02T17:31',
    });
    await makeTask(app, { ...soon, model: 'claude-test', max_execution_ms: 5000, schedule_value: '2026-03-02T12:02' });
    await makeTask(app, { ...soon, max_execution_ms: 90_000, schedule_value: '2026-03-02T12:03' });
    clock.set('2026-03-02T12:05:00.000Z');
    await check(app, { max: 3 });
    const [first, second, third] = app.agent.requests;
    expect(first).toMatchObject({
      prompt: {
        text: '[SCHEDULED TASK]\nLocal time: Monday, March 2, 2026 at 5:35 PM (Asia/Kolkata)\n\n Umbrella?\n',
      },
      resume: false,
      conversationId: null,
      options: { model: null, maxExecutionMs: 60_000, thinking: { type: 'disabled' }, mcpServers: {} },
    });
    expect(second?.prompt.text).toContain('Local time: Monday, March 2, 2026 at 12:05 PM (UTC)\n\nSay hello.');
    expect(second?.options).toMatchObject({ model: 'claude-test', maxExecutionMs: 5000 });
    expect(third?.options).toMatchObject({ maxExecutionMs: 60_000 });
  });

  it('runs the oldest slot first, one a check, and counts what is left', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeDue(app, clock, ['a', 'b']);
    await makeTask(app, { ...soon, id: 'oldest', schedule_value: '2026-03-01T00:00' });
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push((await check(app)).body);
    expect(answers).toMatchObject([
      { checked: 3, executed: { task_id: 'oldest' }, remaining: 2, next_due_at: '2026-03-02T12:01:00.000Z' },
      { checked: 2, executed: { task_id: 'a' }, remaining: 1 },
      { checked: 1, executed: { task_id: 'b' }, remaining: 0, next_due_at: null },
      { checked: 0, message: 'No due tasks' },
    ]);
  });

  it('with max runs so many one after another, and tells of each', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeDue(app, clock, ['a', 'b', 'c']);
    const [first, second] = [app.agent.hold(), app.agent.hold()];
    const answer = check(app, { max: 2 });
    await first.reached;
    expect(app.agent.requests).toHaveLength(1);
    first.release();
    await second.reached;
    second.release();
    const { body } = await answer;
    expect(body).toMatchObject({ checked: 3, runs: [{ task_id: 'a' }, { task_id: 'b' }], remaining: 1 });
    expect(body.executed).toEqual(listOf(body.runs)[0]);
    expect((await check(app, { max: 100 })).body).toMatchObject({ checked: 1, runs: [{ task_id: 'c' }], remaining: 0 });
    expect((await check(app, { max: 2 })).body).toEqual({
      checked: 0,
      message: 'No due tasks',
      remaining: 0,
      next_due_at: null,
    });
  });

  it('passes over a task whose conversation is busy, for the next one', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const chat = app.agent.hold();
    const chatAnswer = app.post('/chat', { message: 'x' });
    const { conversationId } = await chat.reached;
    await makeDue(app, clock, ['busy'], { context_mode: 'group', conversation_id: conversationId });
    await makeTask(app, { ...soon, id: 'next', schedule_value: '2026-03-02T12:02' });
    const before = app.rows();
    expect((await check(app)).body).toMatchObject({ checked: 2, executed: { task_id: 'next' }, remaining: 1 });
    const passed = await check(app, { max: 5 });
    expect(passed.body).toEqual({
      checked: 0,
      message: expect.stringMatching(/^No due task can run now: /),
      remaining: 1,
      next_due_at: '2026-03-02T12:05:10.000Z',
    });
    expect(app.rows()).toMatchObject({ messages: before.messages });
    expect(await readTask(app, 'busy')).toMatchObject({ last_run: null, status: 'active' });
    chat.release();
    await chatAnswer;
    expect((await check(app)).body).toMatchObject({ checked: 1, executed: { task_id: 'busy', attempt: 1 } });
  });

  it('passes over a task that a fault keeps from being run, so that the others are not held up', async () => {
    const clock = makeClock();
    await using app = await startApp({
      clock,
      store: (real) => ({
        ...real,
        claimTask: (input) =>
          input.taskId === 'broken' ? Promise.reject(new RangeError('broken')) : real.claimTask(input),
      }),
    });
    await makeDue(app, clock, ['broken', 'next'], minutely);
    expect((await check(app)).body).toMatchObject({ checked: 2, executed: { task_id: 'next' }, remaining: 1 });
    const errors = app.logs().filter(({ level }) => level === 'error');
    expect(errors).toMatchObject([{ task_id: 'broken', err: { type: 'RangeError' } }]);
    expectProblem(await check(app), 500, 'internal_error');
    clock.advance({ minutes: 1 });
    expect((await check(app, { max: 5 })).body).toMatchObject({ checked: 2, runs: [{ task_id: 'next' }] });
  });

  it('leaves paused and completed tasks alone, whatever their time', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...minutely, id: 'paused' });
    await app.put('/task/paused', { status: 'paused' });
    await makeTask(app, { ...minutely, id: 'completed' });
    await app.put('/task/completed', { status: 'completed' });
    clock.advance({ hours: 1 });
    expect((await check(app, { max: 10 })).body).toMatchObject({ checked: 0, message: 'No due tasks' });
  });

  it('does not see a task that another check runs, and tells when its claim may end', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock, leaseMs: 90_000 });
    await makeDue(app, clock, ['a']);
    const run = app.agent.hold();
    const first = check(app);
    await run.reached;
    expect((await check(app)).body).toEqual({
      checked: 0,
      message: 'No due tasks',
      remaining: 0,
      next_due_at: '2026-03-02T12:06:30.000Z',
    });
    run.release();
    expect((await first).body).toMatchObject({ checked: 1, executed: { task_id: 'a' } });
    expect(app.agent.requests).toHaveLength(1);
  });

  it.each([undefined, 3])('50 at once over 20 due tasks (max: %s) run each of them once', async (max) => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const ids = Array.from({ length: 20 }, (_, n) => `task-${n}`);
    await makeDue(app, clock, ids);
    const answers = await Promise.all(Array.from({ length: 50 }, () => check(app, max === undefined ? {} : { max })));
    const ran = answers.flatMap(({ body }) =>
      'executed' in body ? listOf(body.runs ?? [body.executed]).map(({ task_id }) => task_id) : [],
    );
    expect(ran.sort()).toEqual(ids.sort());
    expect(app.agent.requests).toHaveLength(20);
    for (const id of ids) expect(await readRuns(app, id)).toHaveLength(1);
    for (const { status, body } of answers)
      expect({ status, body }).toMatchObject({ status: 200, body: { checked: expect.any(Number) } });
  });

  it('is refused before its body is read while the server is shutting down', async () => {
    await using app = await startApp({ stopping: () => true });
    for (const path of ['/task/check', '/task/trigger']) {
      const unread = new ReadableStream(
        {
          pull: () => {
            throw new Error('the body was read');
          },
        },
        { highWaterMark: 0 },
      );
      const answer = await app.send(path, { method: 'POST', body: unread, duplex: 'half' });
      expectProblem(answer, 503, 'shutting_down');
      expect(answer.headers.get('retry-after')).toBe('10');
    }
  });
});
