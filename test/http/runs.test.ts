/** What a run does to its conversation: its session, its prompt, its end, whatever goes wrong on the way. */

import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeGate } from '../support/http-gate.ts';

/** Text of the agent's message. */
const says = (text: string) => [{ type: 'message' } as const, { type: 'text', text } as const];

/** Timers of the same length fire in the order of their making: any of 0 ms that was set before is over after this. */
const timersOfNow = () => new Promise((resolve) => setTimeout(resolve, 0));

function warningsOf(app: TestApp) {
  return app.logs().filter(({ level }) => level === 'warn');
}

describe('after the stop of the runs', () => {
  it('a request is refused as shutting_down, and nothing of it is stored', async () => {
    await using app = await startApp();
    const before = app.rows();
    await app.runs.stop({ graceMs: 0 });
    const answer = await app.post('/chat', { message: 'x' });
    expectProblem(answer, 503, 'shutting_down');
    expect(answer.headers.get('retry-after')).toBe('5');
    expect(app.rows()).toEqual(before);
    expect(app.agent.requests).toEqual([]);
  });

  it('a request that was being accepted is run only to be cancelled, and the stop waits for that', async () => {
    const gate = makeGate();
    await using app = await startApp(gate);
    const acceptance = gate.hold();
    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    await acceptance.arrived;
    let stopped = false;
    const stopping = app.runs.stop({ graceMs: 0 }).then(() => {
      stopped = true;
    });
    await timersOfNow();
    expect(stopped).toBe(false);
    acceptance.pass();
    const { conversationId, signal } = await run.reached;
    expect(signal.aborted).toBe(true);
    await stopping;
    expect(app.runs.active).toBe(0);
    expect((await app.send(`/chat/${conversationId}`)).body).toMatchObject({ status: 'idle', message_count: 1 });
    expect((await answer).body).toMatchObject({ status: 'error', error_code: 'run_cancelled' });
  });

  it('a run that ends within the grace period is answered as any other', async () => {
    await using app = await startApp();
    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    const { signal } = await run.reached;
    const stopping = app.runs.stop({ graceMs: 60_000 });
    await timersOfNow();
    expect(signal.aborted).toBe(false);
    run.release({ events: says('Just in time.') });
    expect((await answer).body).toMatchObject({ status: 'success', result: 'Just in time.' });
    await stopping;
  });
});

describe('a run whose end cannot be stored', () => {
  it('is a 500, and its conversation goes on', async () => {
    let faults = 1;
    await using app = await startApp({
      store: (real) => ({
        ...real,
        settleRun: (input) => (faults-- > 0 ? Promise.reject(new Error('SQLITE_FULL')) : real.settleRun(input)),
      }),
    });
    const run = app.agent.hold(says('Nobody hears this.'));
    const answer = app.post('/chat', { message: 'x' });
    const { conversationId: conversation_id, runId } = await run.reached;
    app.sql(
      "INSERT INTO outbound_messages (id, conversation_id, text, created_at) VALUES ('out-1', ?, 'hi', '2026-01-31T09:30:00.000Z')",
      conversation_id,
    );
    run.release();
    const failed = await answer;
    expectProblem(failed, 500, 'internal_error');
    expect(JSON.stringify(failed.body)).not.toContain('SQLITE_FULL');
    expect(await app.store.getRun(runId)).toMatchObject({ status: 'error', error: { code: 'internal_error' } });
    const conversation = await app.send(`/chat/${conversation_id}`);
    expect(conversation.body).toMatchObject({ status: 'idle', message_count: 1 });
    const next = await app.post('/chat', { message: 'y', conversation_id });
    expect(next.body).toMatchObject({ status: 'success', outbound_messages: [{ text: 'hi' }] });
  });

  it('not even as failed, ends when the store takes it again, and its conversation goes on', async () => {
    let isFull = false;
    await using app = await startApp({
      store: (real) => ({
        ...real,
        settleRun: (input) => (isFull ? Promise.reject(new Error('SQLITE_FULL')) : real.settleRun(input)),
      }),
    });
    const { conversation_id } = (await app.post('/chat', { message: 'x' })).body;
    isFull = true;
    expectProblem(await app.post('/chat', { message: 'y', conversation_id }), 500, 'internal_error');
    expectProblem(await app.post('/chat', { message: 'z', conversation_id }), 409, 'conversation_busy');
    isFull = false;
    await expect.poll(async () => (await app.send(`/chat/${conversation_id}`)).body.status).toBe('idle');
    expect(app.onVolume("select status from runs where status <> 'success'")).toEqual([{ status: 'error' }]);
    expect((await app.post('/chat', { message: 'z', conversation_id })).status).toBe(200);
  });
});

describe('a request that could not be made durable', () => {
  it('nor withdrawn at once, is withdrawn when the store takes that, and its conversation goes on', async () => {
    let isFull = false;
    await using app = await startApp({
      beforeSync: () => (isFull ? Promise.reject(new Error('ENOSPC')) : Promise.resolve()),
      store: (real) => ({
        ...real,
        withdrawRun: (...run) => (isFull ? Promise.reject(new Error('SQLITE_FULL')) : real.withdrawRun(...run)),
      }),
    });
    const { conversation_id } = (await app.post('/chat', { message: 'x' })).body;
    isFull = true;
    expectProblem(await app.post('/chat', { message: 'y', conversation_id }), 503, 'not_durable');
    isFull = false;
    await expect.poll(async () => (await app.send(`/chat/${conversation_id}`)).body.status).toBe('idle');
    expect(app.onVolume("select count(*) as n from messages where content = 'y'")).toEqual([{ n: 0 }]);
    expect((await app.post('/chat', { message: 'y', conversation_id })).status).toBe(200);
  });

  it('is not on the volume either, though the sync of another had carried it there', async () => {
    const gate = makeGate();
    await using app = await startApp(gate);
    const refusal = gate.hold();
    const refused = app.post('/chat', { message: 'refused' });
    await refusal.arrived;
    const run = app.agent.hold();
    const other = app.post('/chat', { message: 'other' });
    await run.reached;
    const messages = () => app.onVolume('select content from messages order by content');
    expect(messages()).toEqual([{ content: 'other' }, { content: 'refused' }]);
    refusal.fail();
    expectProblem(await refused, 503, 'not_durable');
    expect(messages()).toEqual([{ content: 'other' }]);
    expect(app.onVolume('select count(*) as n from conversations')).toEqual([{ n: 1 }]);
    expect(app.onVolume('select status from runs')).toEqual([{ status: 'running' }]);
    run.release();
    expect((await other).body.status).toBe('success');
  });
});

describe('the session of a conversation', () => {
  it('stays where it is when another did not take the prompt, and is told the message with the next one', async () => {
    await using app = await startApp();
    const first = await app.post('/chat', { message: 'the first' });
    const conversation_id = String(first.body.conversation_id);
    const error = new Problem('model_overloaded', 'the model API is overloaded').toBody();
    app.agent.next({ result: { outcome: 'error', error, sessionId: randomUUID(), promptTaken: false } });
    await app.post('/chat', { message: 'the second', conversation_id });
    const third = await app.post('/chat', { message: 'the third', conversation_id });
    expect(third.body).toMatchObject({ status: 'success', session_id: first.body.session_id });
    const request = app.agent.requests[2];
    expect(request).toMatchObject({ sessionId: first.body.session_id, resume: true });
    expect(request?.prompt.text).toMatch(/>the second<.*>the third</s);
    expect(request?.prompt.text).not.toContain('the first');
    await app.post('/chat', { message: 'the fourth', conversation_id });
    expect(app.agent.requests[3]?.prompt.text).not.toContain('the second');
  });

  it('is another one after a reply that it does not hold, and the log says so', async () => {
    await using app = await startApp();
    app.agent.next({ events: says('Not kept.'), result: { replyKept: false } });
    const { body } = await app.post('/chat', { message: 'x' });
    const conversation_id = String(body.conversation_id);
    expect(body).toMatchObject({ status: 'success', result: 'Not kept.' });
    expect(warningsOf(app)).toMatchObject([
      { run_id: body.run_id, conversation_id, msg: expect.stringContaining('does not hold the reply') },
    ]);
    await app.post('/chat', { message: 'y', conversation_id });
    const [first, second] = app.agent.requests;
    expect(second).toMatchObject({ sessionId: body.session_id, resume: true });
    expect(second?.sessionId).not.toBe(first?.sessionId);
    // Without a transcript of that session the agent asks for a fresh one, which is told everything.
    expect(second?.prompt.text).toMatch(/>x<.*>y</s);
  });

  it('stays where it is where there was no reply to hold', async () => {
    await using app = await startApp();
    app.agent.next({ result: { replyKept: false } });
    const { body } = await app.post('/chat', { message: 'x' });
    await app.post('/chat', { message: 'y', conversation_id: body.conversation_id });
    expect(app.agent.requests[1]?.sessionId).toBe(app.agent.requests[0]?.sessionId);
    expect(warningsOf(app)).toEqual([]);
  });
});

describe('a fresh session', () => {
  it('is on the volume before it exists, and is told the last messages whole and how many came before them', async () => {
    await using app = await startApp();
    const long = (name: string) => `${name} ${'x'.repeat(90_000)}`;
    const first = await app.post('/chat', { message: long('one') });
    const conversation_id = String(first.body.conversation_id);
    for (const name of ['two', 'three']) await app.post('/chat', { message: long(name), conversation_id });

    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'four', conversation_id, sender_name: 'Robin' });
    const request = await run.reached;
    const fresh = await request.freshSession();
    expect(fresh.sessionId).not.toBe(request.sessionId);
    expect(app.onVolume('select session_id from sessions')).toContainEqual({ session_id: fresh.sessionId });
    expect(fresh.prompt.id).toBe(request.prompt.id);
    const told = [...fresh.prompt.text.matchAll(/<message sender="(\w+)"( role="assistant")?[^>]*>(\w+)/g)];
    expect(told.map(([, sender, role, text]) => `${sender}${role ?? ''}: ${text}`)).toEqual([
      'Pico role="assistant": Hello',
      'user: two',
      'Pico role="assistant": Hello',
      'user: three',
      'Pico role="assistant": Hello',
      'Robin: four',
    ]);
    expect(fresh.prompt.text).toContain('<omitted messages="1" />\n<message');
    expect(fresh.prompt.text.match(/x{90000}/g)).toHaveLength(2);

    run.release({ result: { sessionId: fresh.sessionId, freshBecause: 'the transcript is gone' } });
    expect((await answer).body).toMatchObject({ status: 'success', session_id: fresh.sessionId });
    expect(warningsOf(app)).toMatchObject([{ conversation_id, reason: 'the transcript is gone' }]);
    await app.post('/chat', { message: 'five', conversation_id });
    expect(app.agent.requests.at(-1)).toMatchObject({ sessionId: fresh.sessionId, resume: true });
    expect(app.agent.requests.at(-1)?.prompt.text).not.toMatch(/>four<|omitted/);
  });
});

describe('the outcome', () => {
  it('warns of a reply that ended inside an <internal> block, which is not shown', async () => {
    await using app = await startApp();
    app.agent.next({ events: says('Yes.<internal>the plan'), result: { warnings: ['of the agent'] } });
    const { body } = await app.post('/chat', { message: 'x' });
    expect(body).toMatchObject({ status: 'success', result: 'Yes.' });
    expect(body.warnings).toEqual([
      'of the agent',
      expect.stringMatching(/^the reply ended inside an <internal> block; \d+ characters/),
    ]);
    expect(JSON.stringify(body)).not.toContain('the plan');
  });

  it('tells how long the run took', async () => {
    await using app = await startApp();
    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    await run.reached;
    const reachedAt = performance.now();
    // Not a wait for anything: the clock itself must have moved by what is measured.
    while (performance.now() - reachedAt < 2);
    run.release();
    expect((await answer).body.duration_ms).toBeGreaterThan(0);
  });
});
