/** A slot whose run was cut off is tried again, so often and no more; nothing is claimed that is not on the volume. */

import { describe, expect, it } from 'vitest';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import type { Instance, Json } from '../support/http-instance.ts';
import { listOf, makeTask, minutely, objectOf, readMessages, readRuns, readTask, soon } from '../support/http-tasks.ts';
import { until } from '../support/until.ts';

const says = (text: string) => [{ type: 'message' } as const, { type: 'text', text } as const];
const check = (app: Instance, body: object = {}) => app.post('/task/check', body);
const executed = (body: Json) => objectOf(body.executed);
const leaseMs = 90_000;

/** The task `a`, due since a minute. */
async function startDue(body: Json = {}, input: Parameters<typeof startApp>[0] = {}) {
  const clock = makeClock();
  const app = await startApp({ clock, leaseMs, ...input });
  await makeTask(app, { ...minutely, id: 'a', ...body });
  clock.set('2026-03-02T12:02:00.000Z');
  return { app, clock };
}

/** A run of `a` is under way, and its instance is taken for dead. */
async function crash(app: TestApp, on: Instance = app) {
  const run = app.agent.hold();
  const answer = check(on);
  await run.reached;
  return { run, answer, next: await app.restart() };
}

describe('a run that a shutdown ends', () => {
  it('is answered as cancelled, its slot stays due, and its next attempt is the second', async () => {
    const { app, clock } = await startDue();
    await using _ = app;
    const run = app.agent.hold(says('Half'));
    const answer = check(app);
    await run.reached;
    await app.runs.stop({ graceMs: 0 });
    expect(executed((await answer).body)).toMatchObject({
      status: 'error',
      error_code: 'run_cancelled',
      result: 'Half',
      attempt: 1,
      next_run: '2026-03-02T12:01:00.000Z',
    });
    expect(await readTask(app, 'a')).toMatchObject({ last_status: 'cancelled', status: 'active' });
    clock.advance({ minutes: 7 });
    const next = await app.restart();
    expect(executed((await check(next)).body)).toMatchObject({
      status: 'success',
      attempt: 2,
      next_run: '2026-03-02T12:10:00.000Z',
    });
    expect(await readRuns(app, 'a')).toMatchObject([
      { status: 'success', attempt: 2, slot: '2026-03-02T12:01:00.000Z' },
      { status: 'cancelled', attempt: 1, slot: '2026-03-02T12:01:00.000Z', result: 'Half' },
    ]);
  });

  it('uses its slot up where one attempt is all there is', async () => {
    const { app } = await startDue({ max_attempts: 1 });
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    await app.runs.stop({ graceMs: 0 });
    expect(executed((await answer).body)).toMatchObject({ next_run: '2026-03-02T12:03:00.000Z' });
  });
});

describe('a run whose server died', () => {
  it('is tried again when its lease is over, not before', async () => {
    const { app, clock } = await startDue();
    await using _ = app;
    const { run, answer, next } = await crash(app);
    expect(await readTask(app, 'a')).toMatchObject({
      last_status: 'interrupted',
      last_run: '2026-03-02T12:02:00.000Z',
    });
    const leaseEnd = '2026-03-02T12:03:30.000Z';
    clock.set('2026-03-02T12:03:29.999Z');
    expect((await check(next)).body).toEqual({
      checked: 0,
      message: 'No due tasks',
      remaining: 0,
      next_due_at: leaseEnd,
    });
    const trigger = await next.post('/task/trigger', { task_id: 'a' });
    expectProblem(trigger, 409, 'task_busy');
    expect(trigger.headers.get('retry-after')).toMatch(/^\d+$/);
    clock.set(leaseEnd);
    expect(executed((await check(next)).body)).toMatchObject({ status: 'success', attempt: 2 });
    expect(await readRuns(app, 'a')).toMatchObject([
      { status: 'success', attempt: 2 },
      { status: 'interrupted', attempt: 1, error: null, result: null },
    ]);
    run.release();
    expectProblem(await answer, 503, 'run_lost');
  });

  it('of a group leaves the conversation idle, and tells the next attempt of the prompt that it did not see', async () => {
    const { app, clock } = await startDue({ context_mode: 'group', conversation_id: 'team' });
    await using _ = app;
    const { run, answer, next } = await crash(app);
    expect((await app.send('/chat/team')).body).toMatchObject({ status: 'idle', message_count: 1 });
    clock.advance({ ms: leaseMs });
    app.agent.next({ events: says('Second try.') });
    expect(executed((await check(next)).body)).toMatchObject({ attempt: 2, conversation_id: 'team' });
    expect(app.agent.requests[1]?.prompt.text.match(/\[SCHEDULED TASK\]/g)).toHaveLength(2);
    expect((await readMessages(app, 'team')).map(({ role }) => role)).toEqual(['user', 'user', 'assistant']);
    run.release({ events: says('First try, much too late.') });
    expectProblem(await answer, 503, 'run_lost');
    expect(JSON.stringify(await readMessages(app, 'team'))).not.toContain('too late');
  });

  it('that wakes up is told that it lost its task, and changes nothing', async () => {
    const { app, clock } = await startDue();
    await using _ = app;
    const { run, answer, next } = await crash(app);
    clock.advance({ ms: leaseMs });
    const second = app.agent.hold();
    const secondAnswer = check(next);
    await second.reached;
    run.release({ events: says('Too late.') });
    const lost = await answer;
    expectProblem(lost, 503, 'run_lost');
    expect(lost.body.task_id).toBe('a');
    expect(await readTask(app, 'a')).toMatchObject({ last_status: 'interrupted', last_result: null });
    expect((await check(next)).body.checked).toBe(0);
    second.release({ events: says('In time.') });
    expect(executed((await secondAnswer).body)).toMatchObject({ status: 'success', result: 'In time.' });
    expect(await readTask(app, 'a')).toMatchObject({ last_status: 'success', last_result: 'In time.' });
  });

  it('is given up after max_attempts: the task goes on with its next slot, and the log says so', async () => {
    const { app, clock } = await startDue({ max_attempts: 2 });
    await using _ = app;
    await makeTask(app, { ...soon, id: 'b', schedule_value: '2026-03-02T12:04' });
    const first = await crash(app);
    clock.advance({ ms: leaseMs });
    const second = await crash(app, first.next);
    expect((await readRuns(app, 'a'))[0]).toMatchObject({ attempt: 2, status: 'interrupted' });
    clock.set('2026-03-02T12:30:10.000Z');
    const requests = app.agent.requests.length;
    expect((await check(second.next)).body).toMatchObject({ checked: 2, executed: { task_id: 'b' }, remaining: 0 });
    expect(app.agent.requests).toHaveLength(requests + 1);
    expect(await readTask(app, 'a')).toMatchObject({
      status: 'active',
      next_run: '2026-03-02T12:31:00.000Z',
      last_status: 'interrupted',
      last_result: expect.stringMatching(/^Error: given up after 2 attempts/),
    });
    expect(app.logs().filter(({ level, task_id }) => level === 'error' && task_id === 'a')).toMatchObject([
      { slot: '2026-03-02T12:01:00.000Z', attempts: 2 },
    ]);
    clock.set('2026-03-02T12:31:00.000Z');
    expect(executed((await check(second.next)).body)).toMatchObject({ task_id: 'a', attempt: 1, status: 'success' });
  });

  it('is given up for good where it was a once', async () => {
    const { app, clock } = await startDue({ ...soon, max_attempts: 1 });
    await using _ = app;
    const { next } = await crash(app);
    clock.advance({ ms: leaseMs });
    expect((await check(next)).body).toEqual({
      checked: 0,
      message: expect.stringMatching(/^No due task can run now: /),
      remaining: 0,
      next_due_at: null,
    });
    expect(await readTask(app, 'a')).toMatchObject({ status: 'completed', last_status: 'interrupted', next_run: null });
    expect(app.onVolume('select status, next_run from scheduled_tasks')).toEqual([
      { status: 'completed', next_run: null },
    ]);
    expect((await check(next)).body).toMatchObject({ checked: 0, message: 'No due tasks' });
  });

  it('counts anew with a new schedule', async () => {
    const { app, clock } = await startDue({ max_attempts: 1 });
    await using _ = app;
    const { next } = await crash(app);
    await next.put('/task/a', { schedule_value: '120000' });
    clock.advance({ minutes: 5 });
    expect(executed((await check(next)).body)).toMatchObject({ attempt: 1, status: 'success' });
  });
});

describe('the lease of a run', () => {
  it('is renewed while the run works, in the database and on the volume', async () => {
    const { app, clock } = await startDue({}, { leaseMs: 60 });
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    clock.advance({ hours: 1 });
    const renewed = '2026-03-02T13:02:00.060Z';
    const onVolume = () => app.onVolume('select lease_expires_at from scheduled_tasks')[0]?.lease_expires_at;
    await until('the lease is renewed', () => onVolume() === renewed);
    expect((await app.send('/tasks')).body.next_due_at).toBe(renewed);
    expect((await check(app)).body).toMatchObject({ checked: 0, message: 'No due tasks' });
    run.release();
    expect(executed((await answer).body)).toMatchObject({ status: 'success', attempt: 1 });
    expect(onVolume()).toBeNull();
  });

  it('that another instance took ends the run', async () => {
    const { app } = await startDue({}, { leaseMs: 60 });
    await using _ = app;
    const { run, answer } = await crash(app);
    // Nobody releases it: it ends by its lost lease, or never.
    expectProblem(await answer, 503, 'run_lost');
    expect((await run.reached).signal.aborted).toBe(true);
  });
});

describe('two instances', () => {
  it('that are checked at once run each slot once', async () => {
    const { app } = await startDue();
    await using _ = app;
    const ids = ['a', 'b', 'c', 'd', 'e'];
    for (const id of ids.slice(1)) await makeTask(app, { ...soon, id });
    const other = await app.restart();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => check(n % 2 ? app : other, { max: 2 })));
    const ran = answers.flatMap(({ body }) => listOf(body.runs ?? []).map(({ task_id }) => task_id));
    expect(ran.sort()).toEqual(ids);
    expect(app.agent.requests).toHaveLength(ids.length);
  });
});

describe('a claim that is not on the volume', () => {
  it('is a 503 that leaves nothing: the slot is due, and its attempt is still the first', async () => {
    const { app } = await startDue({ context_mode: 'group', conversation_id: 'team' });
    await using _ = app;
    const [task, before] = [await readTask(app, 'a'), app.rows()];
    for (const _ of ['once', 'and again']) {
      app.breakVolumeAtSync();
      const answer = await check(app);
      expectProblem(answer, 503, 'not_durable');
      expect(answer.body.task_id).toBe('a');
      app.repairVolume();
    }
    app.breakVolumeAtSync();
    expectProblem(await app.post('/task/trigger', { task_id: 'a' }), 503, 'not_durable');
    expect(app.agent.requests).toEqual([]);
    expect(app.rows()).toEqual(before);
    app.repairVolume();
    expect(await readTask(app, 'a')).toEqual(task);
    expect((await app.send('/chat/team')).body).toMatchObject({ status: 'idle', message_count: 0 });
    expect(executed((await check(app)).body)).toMatchObject({ status: 'success', attempt: 1 });
  });

  it('ends a check with max, which answers with what it ran before', async () => {
    let [syncs, failing] = [0, Number.POSITIVE_INFINITY];
    const { app } = await startDue(
      {},
      {
        beforeSync: async () => {
          if (++syncs >= failing) throw new Error('ENOSPC');
        },
      },
    );
    await using _ = app;
    for (const id of ['b', 'c']) await makeTask(app, { ...soon, id });
    // The claim and the end of the first run are written; the claim of the second is not.
    failing = syncs + 3;
    const { status, body } = await check(app, { max: 5 });
    expect(status).toBe(200);
    expect(body).toMatchObject({ checked: 3, runs: [{ task_id: 'a', status: 'success' }], remaining: 2 });
    expect(await readRuns(app, 'b')).toEqual([]);
    // The third is not tried: what failed and its withdrawal were the last syncs.
    expect(syncs).toBe(failing + 1);
    expect(app.logs().filter(({ level }) => level === 'warn')).toContainEqual(
      expect.objectContaining({ err: expect.objectContaining({ code: 'not_durable' }) }),
    );
  });
});

describe('the end of a run that is not on the volume', () => {
  it('is a 503 that names the task, and its slot is not run again while the server lives', async () => {
    const { app } = await startDue();
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    app.breakVolume();
    run.release({ events: says('Nobody hears this.') });
    const failed = await answer;
    expectProblem(failed, 503, 'not_durable');
    expect(failed.body).toMatchObject({ task_id: 'a', retryable: true });
    expect(failed.headers.get('retry-after')).toBe('5');
    app.repairVolume();
    expect((await check(app)).body.checked).toBe(0);
    expect(await readRuns(app, 'a')).toMatchObject([{ status: 'success', result: 'Nobody hears this.' }]);
  });
});
