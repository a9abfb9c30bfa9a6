/** Running a task now, and its run log. */

import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import type { Json } from '../support/http-instance.ts';
import { listOf, makeTask, minutely, readMessages, readRuns, readTask, soon } from '../support/http-tasks.ts';

const says = (text: string) => [{ type: 'message' } as const, { type: 'text', text } as const];
const trigger = (app: TestApp, task_id = 'a') => app.post('/task/trigger', { task_id });

describe('POST /task/trigger', () => {
  it('runs the task now, and answers with every member of the contract', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...minutely, id: 'a' });
    const { status, body } = await trigger(app);
    expect(status).toBe(200);
    expect(body).toEqual({
      status: 'success',
      task_id: 'a',
      result: 'Hello.',
      duration_ms: expect.any(Number),
      next_run: '2026-03-02T12:01:00.000Z',
      outbound_messages: [],
      run_id: expect.stringMatching(/^run-/),
      attempt: 1,
      conversation_id: null,
      usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 },
      cost_usd: 0.0125,
      session_end_marker_detected: false,
    });
    expect(Object.keys(body).slice(0, 2)).toEqual(['status', 'task_id']);
    expect(await readRuns(app, 'a')).toMatchObject([{ source: 'task_trigger', slot: null, attempt: 1 }]);
  });

  it.each<[string, Json, Json]>([
    ['an active task', minutely, {}],
    ['a task that is due', minutely, { status: 'active' }],
    ['a paused task', minutely, { status: 'paused' }],
    ['a completed task', soon, { status: 'completed' }],
    ['a once', soon, {}],
    ['a cron', { ...soon, schedule_type: 'cron', schedule_value: '0 9 * * *' }, {}],
  ])('leaves the schedule and the status of %s as they are', async (what, body, change) => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...body, id: 'a' });
    const before = (await app.put('/task/a', change)).body;
    clock.advance({ seconds: what.includes('due') ? 300 : 10 });
    const { body: answer } = await trigger(app);
    expect(answer).toMatchObject({ status: 'success', next_run: before.next_run });
    expect(await readTask(app, 'a')).toEqual({
      ...before,
      last_run: clock.now(),
      last_result: 'Hello.',
      last_status: 'success',
    });
  });

  it('uses up no slot and no attempt: the slot runs as ever, at its first attempt', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a', max_attempts: 1 });
    clock.advance({ minutes: 2 });
    const error = new Problem('model_overloaded', 'overloaded').toBody();
    app.agent.next({ result: { outcome: 'error', error } });
    expect((await trigger(app)).body).toMatchObject({ status: 'error', error_code: 'model_overloaded' });
    const { body } = await app.post('/task/check', {});
    expect(body).toMatchObject({ checked: 1, executed: { status: 'success', attempt: 1, next_run: null } });
    expect(await readTask(app, 'a')).toMatchObject({ status: 'completed' });
  });

  it('is a 409 while the task runs, by a trigger or by a check', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...minutely, id: 'a' });
    clock.advance({ minutes: 2 });
    for (const begin of [() => trigger(app), () => app.post('/task/check', {})]) {
      const run = app.agent.hold();
      const answer = begin();
      await run.reached;
      const before = app.rows();
      const refused = await trigger(app);
      expectProblem(refused, 409, 'task_busy');
      expect(refused.body).toMatchObject({
        task_id: 'a',
        retryable: true,
        error: expect.stringContaining('Task a is running'),
      });
      expect(refused.headers.get('retry-after')).toBe('1');
      expect(app.rows()).toEqual(before);
      run.release();
      expect((await answer).status).toBe(200);
    }
  });

  it('keeps a check from running the slot beside it', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a' });
    clock.advance({ minutes: 2 });
    const run = app.agent.hold();
    const answer = trigger(app);
    await run.reached;
    expect((await app.post('/task/check', {})).body.checked).toBe(0);
    run.release();
    await answer;
    expect((await app.post('/task/check', {})).body).toMatchObject({ checked: 1, executed: { task_id: 'a' } });
    expect(app.agent.requests).toHaveLength(2);
  });

  it('many at once run the task once, and are 409s', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    const run = app.agent.hold();
    let refused = 0;
    const answers = Promise.all(
      Array.from({ length: 10 }, async () => {
        const answer = await trigger(app);
        // Whoever is refused is so while the one that is not still runs.
        if (answer.status === 409 && ++refused === 9) run.release();
        return answer.status;
      }),
    );
    expect((await answers).sort()).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
    expect(app.agent.requests).toHaveLength(1);
  });

  it('of a group is a 409 while its conversation is busy, and stores nothing', async () => {
    await using app = await startApp({ clock: makeClock() });
    const chat = app.agent.hold();
    const chatAnswer = app.post('/chat', { message: 'x' });
    const { conversationId } = await chat.reached;
    await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: conversationId });
    const [task, before] = [await readTask(app, 'a'), app.rows()];
    const refused = await trigger(app);
    expectProblem(refused, 409, 'conversation_busy');
    expect(refused.body).toMatchObject({
      conversation_id: conversationId,
      task_id: 'a',
      error: `Conversation ${conversationId} is currently processing another request`,
    });
    expect(app.rows()).toEqual(before);
    expect(await readTask(app, 'a')).toEqual(task);
    chat.release();
    await chatAnswer;
    expect((await trigger(app)).body).toMatchObject({ status: 'success', conversation_id: conversationId });
    expect(await readMessages(app, conversationId)).toHaveLength(3);
  });

  it('names the task in the problem of a run that has no answer', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    const run = app.agent.hold();
    const answer = trigger(app);
    await run.reached;
    app.breakVolume();
    run.release();
    expect((await answer).body).toMatchObject({ code: 'not_durable', task_id: 'a' });
    app.repairVolume();
    await app.runs.stop({ graceMs: 0 });
    expect((await trigger(app)).body).toMatchObject({ code: 'shutting_down', task_id: 'a' });
  });
});

describe('GET /task/:id/runs', () => {
  it('is empty at first', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    expect((await app.send('/task/a/runs')).body).toEqual({ task_id: 'a', runs: [], next_cursor: null });
  });

  it('has a line for a run while it works, and all of it when it has ended', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: 'team', model: 'claude-test' });
    clock.set('2026-03-02T12:02:00.000Z');
    const run = app.agent.hold();
    const answer = app.post('/task/check', {});
    const { runId } = await run.reached;
    const begun = {
      run_id: runId,
      task_id: 'a',
      source: 'task_check',
      conversation_id: 'team',
      status: 'running',
      slot: '2026-03-02T12:01:00.000Z',
      attempt: 1,
      started_at: '2026-03-02T12:02:00.000Z',
      ended_at: null,
      duration_ms: null,
      result: null,
      error: null,
      error_code: null,
      model: null,
      usage: { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
      cost_usd: 0,
      num_turns: 0,
      outbound_messages: [],
    };
    expect(await readRuns(app, 'a')).toEqual([begun]);
    clock.set('2026-03-02T12:02:30.500Z');
    run.release({ events: says('Done.') });
    await answer;
    expect(await readRuns(app, 'a')).toEqual([
      {
        ...begun,
        status: 'success',
        ended_at: '2026-03-02T12:02:30.500Z',
        duration_ms: 30_500,
        result: 'Done.',
        model: 'scripted-model',
        usage: { input_tokens: 11, output_tokens: 7, cache_read_input_tokens: 5, cache_creation_input_tokens: 3 },
        cost_usd: 0.0125,
        num_turns: 1,
      },
    ]);
  });

  it('pages, newest first, with the runs of this task alone', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    await makeTask(app, { ...soon, id: 'b' });
    const ids: unknown[] = [];
    for (let n = 0; n < 5; n++) {
      ids.unshift((await trigger(app)).body.run_id);
      await trigger(app, 'b');
    }
    const seen: unknown[] = [];
    let path = '/task/a/runs?limit=2';
    for (;;) {
      const { runs, next_cursor } = (await app.send(path)).body;
      seen.push(listOf(runs).map(({ run_id }) => run_id));
      if (next_cursor === null) break;
      path = `/task/a/runs?limit=2&cursor=${encodeURIComponent(String(next_cursor))}`;
    }
    expect(seen).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
    expectProblem(await app.send(path.replace('/a/', '/b/')), 400, 'invalid_request');
  });
});
