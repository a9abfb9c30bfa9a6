/** Changes that look like new schedules and are none, and others that must not bring a slot back. */

import { describe, expect, it } from 'vitest';
import { expectProblem, faultsOf, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import { makeGate } from '../support/http-gate.ts';
import type { Json } from '../support/http-instance.ts';
import { makeTask, minutely, objectOf, readRuns, readTask, soon } from '../support/http-tasks.ts';

const check = (app: TestApp) => app.post('/task/check', {});

/** What PUT takes of what GET tells. */
function toChanges(task: Json): Json {
  const { prompt, schedule_type, schedule_value, context_mode, conversation_id, timezone, status } = task;
  const { model, max_execution_ms, max_attempts } = task;
  return {
    ...{ prompt, schedule_type, schedule_value, context_mode, conversation_id, timezone, status },
    ...{ model, max_execution_ms, max_attempts },
  };
}

describe('a task that is sent back as it was told', () => {
  it('keeps the slot that is due, with another prompt too', async () => {
    const clock = makeClock('2026-03-02T12:00:00.000Z');
    await using app = await startApp({ clock, timezone: 'Europe/Berlin' });
    const made = await makeTask(app, { prompt: 'One.', schedule_type: 'cron', schedule_value: '0 9 * * *' });
    clock.set('2026-03-03T10:30:00.000Z');
    const answer = await app.put(`/task/${String(made.id)}`, { ...toChanges(made), prompt: 'Two.' });
    expect(answer.body).toMatchObject({
      prompt: 'Two.',
      timezone: 'Europe/Berlin',
      next_run: '2026-03-03T08:00:00.000Z',
    });
    expect(objectOf((await check(app)).body.executed)).toMatchObject({ status: 'success', task_id: made.id });
  });

  it('is not run again when it was a once that is completed', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const made = await makeTask(app, soon);
    clock.advance({ minutes: 2 });
    await check(app);
    const done = await readTask(app, made.id);
    expect((await app.put(`/task/${String(made.id)}`, { ...toChanges(done), prompt: 'Other.' })).body).toMatchObject({
      status: 'completed',
      next_run: null,
      prompt: 'Other.',
    });
    expect((await check(app)).body).toMatchObject({ checked: 0 });
    expect(await readRuns(app, made.id)).toHaveLength(1);
  });
});

describe('a completed once', () => {
  async function startCompleted() {
    const clock = makeClock();
    const app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a' });
    clock.advance({ minutes: 2 });
    await check(app);
    return app;
  }

  it('with another zone in which its time is past too is not run again', async () => {
    await using app = await startCompleted();
    const answer = await app.put('/task/a', { timezone: 'Asia/Kolkata' });
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body).status).toContain('is past');
    expect(await readTask(app, 'a')).toMatchObject({ status: 'completed', timezone: 'UTC' });
  });

  it('with another zone in which its time is yet to come is active again', async () => {
    await using app = await startCompleted();
    expect((await app.put('/task/a', { timezone: 'America/New_York' })).body).toMatchObject({
      status: 'active',
      next_run: '2026-03-02T17:01:00.000Z',
    });
  });

  it('cannot be paused: there is nothing to resume', async () => {
    await using app = await startCompleted();
    const answer = await app.put('/task/a', { status: 'paused' });
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body).status).toContain('no time left');
    expect((await app.put('/task/a', { status: 'paused', schedule_value: '2026-03-09T08:00' })).body).toMatchObject({
      status: 'paused',
      next_run: '2026-03-09T08:00:00.000Z',
    });
  });
});

describe('a zone', () => {
  it('is kept as the database of zones spells it, and is the same in any case', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const cron = { prompt: 'x', schedule_type: 'cron', schedule_value: '0 9 * * *' };
    const made = await makeTask(app, { ...cron, id: 'a', timezone: 'europe/berlin' });
    expect(made.timezone).toBe('Europe/Berlin');
    clock.set('2026-03-03T10:00:00.000Z');
    const due = '2026-03-03T08:00:00.000Z';
    expect((await app.put('/task/a', { timezone: 'EUROPE/BERLIN' })).body).toMatchObject({ next_run: due });
  });

  it('that this server does not know pauses the task after its run, which others are not held up by', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { prompt: 'x', schedule_type: 'cron', schedule_value: '* * * * *', id: 'a' });
    app.sql(`update scheduled_tasks set timezone = 'Mars/Olympus' where id = 'a'`);
    clock.advance({ minutes: 2 });
    expect(objectOf((await check(app)).body.executed)).toMatchObject({ status: 'success', task_id: 'a' });
    expect(await readTask(app, 'a')).toMatchObject({ status: 'paused', next_run: null });
    expect(app.logs().some((line) => JSON.stringify(line).includes('Mars/Olympus'))).toBe(true);
  });
});

describe('a clock that is set back during a run', () => {
  it('does not bring its slot back', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { prompt: 'x', schedule_type: 'cron', schedule_value: '* * * * *', id: 'a' });
    clock.set('2026-03-02T12:01:05.000Z');
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    clock.set('2026-03-02T12:00:59.000Z');
    run.release();
    expect(objectOf((await answer).body.executed)).toMatchObject({ next_run: '2026-03-02T12:02:00.000Z' });
  });
});

describe('an active task that 1.x left without a next time', () => {
  it('can be changed in other ways', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a' });
    clock.advance({ days: 3 });
    app.sql(`update scheduled_tasks set next_run = null where id = 'a'`);
    expect((await app.put('/task/a', { prompt: 'Other.' })).body).toMatchObject({ prompt: 'Other.', next_run: null });
  });
});

describe('a trigger between two attempts', () => {
  it('is told nothing of them', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...minutely, id: 'a', max_attempts: 5 });
    clock.advance({ minutes: 2 });
    app.sql(`update scheduled_tasks set attempts = 2 where id = 'a'`);
    expect((await app.post('/task/trigger', { task_id: 'a' })).body).toMatchObject({ attempt: 1 });
    expect(app.agent.requests.at(-1)?.prompt.text).not.toContain('Attempt');
    expect(objectOf((await check(app)).body.executed)).toMatchObject({ attempt: 3 });
    expect(app.agent.requests.at(-1)?.prompt.text).toContain('Attempt 3 of 5');
  });
});

describe('a check that finds only what cannot run now', () => {
  it('says to come back soon, not at a time that is past', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const hold = app.agent.hold();
    const chat = app.post('/chat', { message: 'long' });
    const { conversationId } = await hold.reached;
    await makeTask(app, { ...soon, context_mode: 'group', conversation_id: conversationId });
    clock.set('2026-03-02T12:02:00.000Z');
    expect((await check(app)).body).toMatchObject({
      checked: 0,
      remaining: 1,
      next_due_at: '2026-03-02T12:02:10.000Z',
    });
    expect((await app.send('/health')).body.next_due_at).toBe('2026-03-02T12:02:10.000Z');
    hold.release();
    await chat;
    expect((await check(app)).body).toMatchObject({ checked: 1, remaining: 0, next_due_at: null });
  });

  it('gives a slot up, and does not say so while the volume is away', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...minutely, id: 'a', max_attempts: 1 });
    clock.advance({ minutes: 2 });
    app.sql(`update scheduled_tasks set attempts = 1 where id = 'a'`);
    app.breakVolumeAtSync();
    expectProblem(await check(app), 503, 'not_durable');
    app.repairVolume();
    expect(await check(app)).toMatchObject({ status: 200, body: { checked: 0 } });
    expect(await readTask(app, 'a')).toMatchObject({
      last_status: 'interrupted',
      last_result: expect.stringContaining('given up after 1 attempt;'),
      next_run: '2026-03-02T12:03:00.000Z',
    });
  });
});

describe('a group task in a conversation that no path can name', () => {
  it.each(['.', '..'])('is refused: %s', async (id) => {
    await using app = await startApp();
    const answer = await app.post('/task', { ...soon, context_mode: 'group', conversation_id: id });
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual({ conversation_id: expect.stringContaining(`must not be "${id}"`) });
  });
});

describe('a group task that could not be made durable', () => {
  it('leaves no conversation either', async () => {
    await using app = await startApp({ clock: makeClock() });
    app.breakVolumeAtSync();
    const body = { ...soon, context_mode: 'group', conversation_id: 'fresh' };
    expectProblem(await app.post('/task', body), 503, 'not_durable');
    expect(app.rows()).toMatchObject({ scheduled_tasks: 0, conversations: 0 });
    app.repairVolume();
    expect((await app.post('/task', body)).status).toBe(201);
  });

  it('leaves a conversation that was there before', async () => {
    await using app = await startApp({ clock: makeClock() });
    const { conversation_id } = (await app.post('/chat', { message: 'hello' })).body;
    app.breakVolumeAtSync();
    expectProblem(await app.post('/task', { ...soon, context_mode: 'group', conversation_id }), 503, 'not_durable');
    app.repairVolume();
    expect((await app.send(`/chat/${String(conversation_id)}`)).status).toBe(200);
  });
});

describe('a message', () => {
  it('is sent without what is hidden in it, and not at all where all of it is', async () => {
    await using app = await startApp();
    const { conversation_id } = (await app.post('/chat', { message: 'hello' })).body;
    const path = `/chat/${String(conversation_id)}/outbound`;
    const sent = await app.post(path, { text: 'seen <internal>HIDDEN</internal>too' });
    expect(sent.body).toMatchObject({ text: 'seen too' });
    expectProblem(await app.post(path, { text: ' <internal>HIDDEN' }), 400, 'invalid_request');
    const next = await app.post('/chat', { message: 'and?', conversation_id });
    expect(next.body.outbound_messages).toMatchObject([{ text: 'seen too' }]);
  });

  it('that could not be made durable is not delivered later, and sent again comes once', async () => {
    await using app = await startApp();
    const { conversation_id } = (await app.post('/chat', { message: 'hello' })).body;
    const path = `/chat/${String(conversation_id)}/outbound`;
    app.breakVolumeAtSync();
    expectProblem(await app.post(path, { text: 'news' }), 503, 'not_durable');
    app.repairVolume();
    expect((await app.post(path, { text: 'news' })).status).toBe(201);
    const next = await app.post('/chat', { message: 'and?', conversation_id });
    expect(next.body.outbound_messages).toMatchObject([{ text: 'news' }]);
  });

  it('that comes while the answer is being synced is told with the next answer, and only there', async () => {
    const gate = makeGate();
    await using app = await startApp({ beforeSync: gate.beforeSync });
    const { conversation_id } = (await app.post('/chat', { message: 'hello' })).body;
    const run = app.agent.hold();
    const frames = await app.stream({ message: 'more', conversation_id });
    await run.reached;
    const settling = gate.hold();
    run.release();
    await settling.arrived;
    const late = app.post(`/chat/${String(conversation_id)}/outbound`, { text: 'Late.' });
    await late;
    settling.pass();
    const seen = [];
    for await (const { event, data } of frames) seen.push({ event, data });
    expect(seen.map(({ event }) => event)).not.toContain('outbound');
    expect(seen.at(-1)).toMatchObject({ event: 'done', data: { outbound_messages: [] } });
    const next = await app.post('/chat', { message: 'and?', conversation_id });
    expect(next.body.outbound_messages).toMatchObject([{ text: 'Late.' }]);
  });
});
