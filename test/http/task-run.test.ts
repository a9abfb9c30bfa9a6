/** What a run of a task does to the task and to its conversation, however it ends and whatever is changed meanwhile. */

import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import type { Json } from '../support/http-instance.ts';
import { listOf, makeTask, minutely, objectOf, readMessages, readRuns, readTask, soon } from '../support/http-tasks.ts';

const says = (text: string) => [{ type: 'message' } as const, { type: 'text', text } as const];

const check = (app: TestApp, body: object = {}) => app.post('/task/check', body);
const executed = (body: Json) => objectOf(body.executed);

/** The task `a`, due since a minute. */
async function startDue(body: Json = {}) {
  const clock = makeClock();
  const app = await startApp({ clock });
  const task = await makeTask(app, { ...minutely, id: 'a', ...body });
  clock.set('2026-03-02T12:02:00.000Z');
  return { app, clock, task };
}

describe('an isolated run', () => {
  it('leaves no conversation and no message behind, and its transcript is forgotten', async () => {
    const { app } = await startDue();
    await using _ = app;
    const { body } = await check(app);
    expect(executed(body)).toMatchObject({ status: 'success', conversation_id: null });
    expect(app.rows()).toMatchObject({ conversations: 0, messages: 0, sessions: 0, runs: 1 });
    expect(app.agent.forgotten).toEqual(app.agent.requests.map(({ sessionId }) => sessionId));
    expect((await app.send('/chat')).body.conversations).toEqual([]);
  });

  it('begins in a session of its own each time', async () => {
    const { app, clock } = await startDue();
    await using _ = app;
    await check(app);
    clock.advance({ minutes: 5 });
    await check(app);
    const [first, second] = app.agent.requests;
    expect([first?.resume, second?.resume]).toEqual([false, false]);
    expect(first?.sessionId).not.toBe(second?.sessionId);
    expect(app.agent.forgotten).toEqual([first?.sessionId, second?.sessionId]);
  });

  it('leaves its transcript to the next start where that cannot be removed', async () => {
    const { app } = await startDue();
    await using _ = app;
    app.agent.beforeForget = () => {
      throw new Error('EROFS');
    };
    expect(executed((await check(app)).body)).toMatchObject({ status: 'success' });
    expect(app.agent.forgotten).toEqual([]);
    app.agent.beforeForget = () => undefined;
    await app.finishDeletions();
    expect(app.agent.forgotten).toEqual(app.agent.requests.map(({ sessionId }) => sessionId));
    expect(app.agent.archivesForgotten).toEqual([]);
    expect(app.rows()).toMatchObject({ sessions: 0, runs: 1 });
  });

  it('may run while a chat runs in the conversation that it belongs to', async () => {
    const { app } = await startDue();
    await using _ = app;
    const chat = app.agent.hold();
    const chatAnswer = app.post('/chat', { message: 'x' });
    const { conversationId } = await chat.reached;
    await app.put('/task/a', { conversation_id: conversationId });
    expect(executed((await check(app)).body)).toMatchObject({ status: 'success', conversation_id: null });
    chat.release({ events: says('Meanwhile.') });
    expect((await chatAnswer).body).toMatchObject({ status: 'success' });
    expect(await readMessages(app, conversationId)).toHaveLength(2);
  });
});

describe('a group run', () => {
  const group = { context_mode: 'group', conversation_id: 'team' };

  it('stores prompt and answer as messages, and is part of what the conversation goes on with', async () => {
    const { app, clock } = await startDue(group);
    await using _ = app;
    app.agent.next({ events: says('Take an umbrella.') });
    const { body } = await check(app);
    expect(executed(body)).toMatchObject({ status: 'success', conversation_id: 'team', result: 'Take an umbrella.' });
    expect(await readMessages(app, 'team')).toMatchObject([
      {
        role: 'user',
        sender: 'scheduler',
        sender_name: 'Scheduled task',
        content: '[SCHEDULED TASK]\nLocal time: Monday, March 2, 2026 at 12:02 PM (UTC)\n\nSay hello.',
        created_at: '2026-03-02T12:02:00.000Z',
      },
      { role: 'assistant', sender: 'assistant', sender_name: 'Pico', content: 'Take an umbrella.' },
    ]);
    expect((await app.send('/chat/team')).body).toMatchObject({ message_count: 2, status: 'idle' });
    clock.advance({ minutes: 1 });
    await app.post('/chat', { message: 'Why?', conversation_id: 'team' });
    const [task, chat] = app.agent.requests;
    expect(chat).toMatchObject({ resume: true, sessionId: task?.sessionId });
    expect(app.agent.forgotten).toEqual([]);
  });

  it('dates the answer by its end', async () => {
    const { app, clock } = await startDue(group);
    await using _ = app;
    const run = app.agent.hold(says('Done.'));
    const answer = check(app);
    await run.reached;
    clock.set('2026-03-02T12:09:00.000Z');
    run.release();
    await answer;
    expect((await readMessages(app, 'team'))[1]).toMatchObject({ created_at: '2026-03-02T12:09:00.000Z' });
    expect(await readTask(app, 'a')).toMatchObject({ last_run: '2026-03-02T12:02:00.000Z' });
  });

  it('keeps the conversation running: a chat, a deletion and a trigger of another task in it are 409s', async () => {
    const { app } = await startDue(group);
    await using _ = app;
    await makeTask(app, { ...soon, ...group, id: 'other', schedule_value: '2027-01-01T00:00' });
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    const before = app.rows();
    expect((await app.send('/chat/team')).body).toMatchObject({ status: 'running', message_count: 1 });
    for (const refused of [
      await app.post('/chat', { message: 'x', conversation_id: 'team' }),
      await app.delete('/chat/team'),
      await app.post('/task/trigger', { task_id: 'other' }),
    ]) {
      expectProblem(refused, 409, 'conversation_busy');
      expect(refused.body.conversation_id).toBe('team');
    }
    expect(app.rows()).toEqual(before);
    run.release();
    expect(executed((await answer).body)).toMatchObject({ status: 'success' });
    expect((await app.delete('/chat/team')).status).toBe(204);
    expectProblem(await app.send('/task/a'), 404, 'not_found');
    expect(app.rows()).toMatchObject({ runs: 0, scheduled_tasks: 0, messages: 0 });
  });
});

describe('after its run', () => {
  it('a once is completed', async () => {
    const { app } = await startDue(soon);
    await using _ = app;
    const { body } = await check(app);
    expect(executed(body)).toMatchObject({ status: 'success', next_run: null });
    expect(await readTask(app, 'a')).toMatchObject({
      status: 'completed',
      next_run: null,
      last_run: '2026-03-02T12:02:00.000Z',
      last_result: 'Hello.',
      last_status: 'success',
    });
    expect((await check(app)).body.checked).toBe(0);
  });

  it('an interval keeps its phase, and skips what it missed, however long it was asleep', async () => {
    const { app, clock } = await startDue({ schedule_value: '1000' });
    await using _ = app;
    clock.set('2036-03-02T12:00:30.250Z');
    const { body } = await check(app, { max: 10 });
    expect(listOf(body.runs)).toHaveLength(1);
    expect(executed(body)).toMatchObject({ next_run: '2036-03-02T12:00:31.000Z' });
  });

  it('a cron is due at its next time from now', async () => {
    const { app, clock } = await startDue({ schedule_type: 'cron', schedule_value: '0 9 * * *' });
    await using _ = app;
    clock.set('2026-04-10T15:00:00.000Z');
    const { body } = await check(app, { max: 10 });
    expect(listOf(body.runs)).toHaveLength(1);
    expect(executed(body)).toMatchObject({ next_run: '2026-04-11T09:00:00.000Z' });
  });

  it('what is missed while it runs is skipped too', async () => {
    const { app, clock } = await startDue();
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    clock.set('2026-03-02T12:10:30.000Z');
    run.release();
    expect(executed((await answer).body)).toMatchObject({ next_run: '2026-03-02T12:11:00.000Z' });
  });

  it('last_result has the first 200 characters, the answer and the run log have all', async () => {
    const { app } = await startDue();
    await using _ = app;
    const text = `${'x'.repeat(199)}👩 and so on`;
    app.agent.next({ events: says(text) });
    const { body } = await check(app);
    expect(executed(body).result).toBe(text);
    expect((await readRuns(app, 'a'))[0]?.result).toBe(text);
    expect((await readTask(app, 'a')).last_result).toBe('x'.repeat(199));
  });

  it('internal blocks are in none of them', async () => {
    const { app } = await startDue({ context_mode: 'group', conversation_id: 'team' });
    await using _ = app;
    app.agent.next({ events: says('Yes.<internal>the plan</internal>') });
    const { body } = await check(app);
    expect(executed(body).result).toBe('Yes.');
    const kept = [await readTask(app, 'a'), await readRuns(app, 'a'), await readMessages(app, 'team')];
    expect(JSON.stringify(kept)).not.toContain('the plan');
  });
});

describe('a run that fails', () => {
  const error = new Problem('model_overloaded', 'the model API is overloaded').toBody();

  it('is answered with its error, and kept with it and its usage in the run log', async () => {
    const { app } = await startDue();
    await using _ = app;
    app.agent.next({ events: says('Half'), result: { outcome: 'error', error, warnings: ['of the agent'] } });
    const { status, body } = await check(app);
    expect(status).toBe(200);
    expect(executed(body)).toMatchObject({
      status: 'error',
      error: 'the model API is overloaded',
      error_code: 'model_overloaded',
      next_run: '2026-03-02T12:03:00.000Z',
      warnings: ['of the agent'],
    });
    expect(await readTask(app, 'a')).toMatchObject({
      status: 'active',
      last_status: 'error',
      last_result: 'Error: the model API is overloaded',
    });
    expect(await readRuns(app, 'a')).toMatchObject([
      {
        status: 'error',
        error: 'the model API is overloaded',
        error_code: 'model_overloaded',
        usage: { input_tokens: 11, output_tokens: 7 },
        cost_usd: 0.0125,
      },
    ]);
  });

  it('of a group stores no answer', async () => {
    const { app } = await startDue({ context_mode: 'group', conversation_id: 'team' });
    await using _ = app;
    app.agent.next({ events: says('API Error'), result: { outcome: 'error', error } });
    await check(app);
    expect(await readMessages(app, 'team')).toMatchObject([{ role: 'user' }]);
  });

  it('is a timeout after max_execution_ms, with the text until then', async () => {
    const { app } = await startDue({ ...soon, max_execution_ms: 5000 });
    await using _ = app;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    const run = app.agent.hold(says('As far as it'));
    const answer = check(app);
    const { signal } = await run.reached;
    vi.advanceTimersByTime(4999);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    const { body } = await answer;
    expect(executed(body)).toMatchObject({
      status: 'timeout',
      result: 'As far as it',
      error_code: 'run_timeout',
      next_run: null,
    });
    expect(await readTask(app, 'a')).toMatchObject({
      status: 'completed',
      last_status: 'timeout',
      last_result: 'Timeout: As far as it',
    });
    expect(await readRuns(app, 'a')).toMatchObject([{ status: 'timeout', result: 'As far as it' }]);
  });

  it.each([
    ['an agent that rejects', { reject: new Error('SECRET') }],
    ['an agent that gives up', { result: { outcome: 'error', error } as const }],
  ])('by %s does not come back before its next slot', async (_, script) => {
    const { app } = await startDue();
    await using _app = app;
    app.agent.next(script);
    const { body } = await check(app);
    expect(executed(body)).toMatchObject({ status: 'error', attempt: 1 });
    expect(JSON.stringify(body)).not.toContain('SECRET');
    expect((await check(app)).body.checked).toBe(0);
  });
});

describe('a task that is deleted during its run', () => {
  it('has its run answered normally, and is gone', async () => {
    const { app } = await startDue({ id: 'gone' });
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    expect((await app.delete('/task/gone')).status).toBe(204);
    run.release({ events: says('Cancelled myself.') });
    const { status, body } = await answer;
    expect(status).toBe(200);
    expect(executed(body)).toMatchObject({
      status: 'success',
      task_id: 'gone',
      result: 'Cancelled myself.',
      next_run: null,
    });
    expectProblem(await app.send('/task/gone'), 404, 'not_found');
    expect(app.agent.forgotten).toHaveLength(1);
  });

  it('in a group has its answer in the conversation', async () => {
    const { app } = await startDue({ context_mode: 'group', conversation_id: 'team' });
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    await app.delete('/task/a');
    run.release({ events: says('Cancelled myself.') });
    expect(executed((await answer).body)).toMatchObject({ status: 'success', conversation_id: 'team' });
    expect(await readMessages(app, 'team')).toMatchObject([{}, { content: 'Cancelled myself.' }]);
    expect((await app.send('/chat/team')).body.status).toBe('idle');
  });

  it('with its conversation, which an isolated run does not keep busy, has its run answered normally', async () => {
    const { app } = await startDue();
    await using _ = app;
    const conversation = String((await app.post('/chat', { message: 'x' })).body.conversation_id);
    await app.put('/task/a', { conversation_id: conversation });
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    expect((await app.delete(`/chat/${conversation}`)).status).toBe(204);
    expectProblem(await app.send('/task/a'), 404, 'not_found');
    run.release({ events: says('Still here.') });
    expect(executed((await answer).body)).toMatchObject({ status: 'success', result: 'Still here.', next_run: null });
  });

  it('and made anew with its id is not touched by the end of that run', async () => {
    const { app } = await startDue();
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    await app.delete('/task/a');
    const anew = await makeTask(app, { ...minutely, id: 'a', prompt: 'Another.' });
    run.release();
    expect((await answer).status).toBe(200);
    expect(await readTask(app, 'a')).toEqual(anew);
  });
});

describe('a task that is changed during its run', () => {
  async function changeDuring(change: Json, body: Json = {}): Promise<{ changed: Json; after: Json; answer: Json }> {
    const { app, clock } = await startDue(body);
    await using _ = app;
    const run = app.agent.hold();
    const answer = check(app);
    await run.reached;
    clock.advance({ seconds: 10 });
    const changed = (await app.put('/task/a', change)).body;
    run.release({ events: says('Hello.') });
    return { answer: executed((await answer).body), changed, after: await readTask(app, 'a') };
  }
  const settled = { last_run: '2026-03-02T12:02:00.000Z', last_result: 'Hello.', last_status: 'success' };

  it('keeps its new schedule', async () => {
    const { changed, after, answer } = await changeDuring({ schedule_value: '7200000' });
    expect(changed.next_run).toBe('2026-03-02T14:02:10.000Z');
    expect(after).toEqual({ ...changed, ...settled });
    expect(answer.next_run).toBe('2026-03-02T14:02:10.000Z');
  });

  it('keeps its new schedule though it was a once', async () => {
    const { changed, after } = await changeDuring({ schedule_value: '2026-05-01T00:00' }, soon);
    expect(after).toEqual({ ...changed, ...settled });
    expect(after).toMatchObject({ status: 'active', next_run: '2026-05-01T00:00:00.000Z' });
  });

  it('stays paused, and its slot is used up', async () => {
    const { after } = await changeDuring({ status: 'paused' });
    expect(after).toMatchObject({ ...settled, status: 'paused', next_run: '2026-03-02T12:03:00.000Z' });
  });

  it('stays completed', async () => {
    const { after } = await changeDuring({ status: 'completed' });
    expect(after).toMatchObject({ ...settled, status: 'completed', next_run: null });
  });

  it('keeps its new prompt, and goes on with its next slot', async () => {
    const { after } = await changeDuring({ prompt: 'Another.', max_attempts: 9 });
    expect(after).toMatchObject({
      ...settled,
      prompt: 'Another.',
      max_attempts: 9,
      status: 'active',
      next_run: '2026-03-02T12:03:00.000Z',
    });
  });
});
