/** Outbound messages: of the agent and from outside, delivered once, to whoever waits for the run or with the next answer. */

import { describe, expect, it } from 'vitest';
import { collect } from '../support/frames.ts';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import { makeTask, objectOf, readRuns, soon } from '../support/http-tasks.ts';

/** As the agent's tool does. */
const send = (app: TestApp, runId: string, text: string) =>
  app.runs.sendMessage({ from: { runId }, text, sender: 'Pico' });

const chat = (app: TestApp, conversation_id: unknown) => app.post('/chat', { message: 'x', conversation_id });

async function begin(app: TestApp): Promise<string> {
  return String((await app.post('/chat', { message: 'x' })).body.conversation_id);
}

describe('POST /chat/:id/outbound', () => {
  it('queues a message, and answers with it', async () => {
    await using app = await startApp({ clock: makeClock() });
    const id = await begin(app);
    const answer = await app.post(`/chat/${id}/outbound`, {
      text: ' The deployment is through.\n',
      sender: 'deployer',
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      id: expect.stringMatching(/^out-/),
      conversation_id: id,
      text: ' The deployment is through.\n',
      sender: 'deployer',
      created_at: '2026-03-02T12:00:00.000Z',
    });
    expect(app.onVolume('select text from outbound_messages')).toEqual([{ text: ' The deployment is through.\n' }]);
    expect(app.agent.requests).toHaveLength(1);
  });

  it('delivers it with the next answer, once and in order', async () => {
    await using app = await startApp({ clock: makeClock() });
    const [id, other] = [await begin(app), await begin(app)];
    const first = await app.post(`/chat/${id}/outbound`, { text: 'one' });
    const second = await app.post(`/chat/${id}/outbound`, { text: 'two', sender: 'a' });
    expect(first.body.sender).toBeNull();
    expect((await chat(app, other)).body.outbound_messages).toEqual([]);
    expect((await chat(app, id)).body.outbound_messages).toEqual([first.body, second.body]);
    expect((await chat(app, id)).body.outbound_messages).toEqual([]);
  });

  it('is told at once to a client that streams a run, and repeated before done', async () => {
    await using app = await startApp({ clock: makeClock() });
    const id = await begin(app);
    const run = app.agent.hold();
    const frames = await app.stream({ message: 'y', conversation_id: id });
    await frames.next();
    await run.reached;
    const { body: message } = await app.post(`/chat/${id}/outbound`, { text: 'Meanwhile.', sender: 'a' });
    expect((await frames.next()).value).toMatchObject({ event: 'outbound', data: { text: 'Meanwhile.', sender: 'a' } });
    run.release({ events: [{ type: 'message' }, { type: 'text', text: 'Done.' }] });
    const rest = await collect(frames);
    expect(rest.map(({ event, data }) => ({ event, ...(event === 'done' ? {} : data) }))).toEqual([
      { event: 'chunk', text: 'Done.' },
      { event: 'chunk', text: 'Meanwhile.', sender: 'a' },
      { event: 'done' },
    ]);
    expect(rest.at(-1)?.data.outbound_messages).toEqual([message]);
    expect((await chat(app, id)).body.outbound_messages).toEqual([]);
  });

  it('of an unknown conversation is a 404', async () => {
    await using app = await startApp();
    const before = app.rows();
    const answer = await app.post('/chat/conv-nope/outbound', { text: 'x' });
    expectProblem(answer, 404, 'not_found');
    expect(answer.body.conversation_id).toBe('conv-nope');
    expect(app.rows()).toEqual(before);
  });

  it('is a 503 while it cannot be made durable', async () => {
    await using app = await startApp();
    const id = await begin(app);
    app.breakVolumeAtSync();
    expectProblem(await app.post(`/chat/${id}/outbound`, { text: 'x' }), 503, 'not_durable');
  });
});

describe('a message that the agent sends in a chat', () => {
  it('is in the answer, on the volume before it is told, and in no later answer', async () => {
    await using app = await startApp({ clock: makeClock() });
    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    const { runId, conversationId } = await run.reached;
    const message = await send(app, runId, 'Looking.');
    expect(app.onVolume('select text, delivered_at from outbound_messages')).toEqual([
      { text: 'Looking.', delivered_at: null },
    ]);
    run.release();
    expect((await answer).body.outbound_messages).toEqual([
      {
        id: message?.id,
        conversation_id: conversationId,
        text: 'Looking.',
        sender: 'Pico',
        created_at: message?.createdAt,
      },
    ]);
    expect((await chat(app, conversationId)).body.outbound_messages).toEqual([]);
  });

  it('is refused when its run is over', async () => {
    await using app = await startApp();
    await begin(app);
    const before = app.rows();
    expect(await send(app, String(app.agent.requests[0]?.runId), 'Too late.')).toBeNull();
    expect(app.rows()).toEqual(before);
  });

  it('counts for the marker of the end of a session', async () => {
    await using app = await startApp();
    const run = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    await send(app, (await run.reached).runId, 'Bye [[END]]');
    run.release();
    expect((await answer).body.session_end_marker_detected).toBe(true);
  });
});

describe("a message that the agent sends in a task's run", () => {
  it.each([
    ['isolated', {}, null],
    ['group', { context_mode: 'group', conversation_id: 'team' }, 'team'],
  ])('(%s) is in its answer and its run log, and in no later answer', async (_, place, conversation_id) => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a', ...place });
    clock.advance({ minutes: 2 });
    const run = app.agent.hold();
    const answer = app.post('/task/check', {});
    const { runId } = await run.reached;
    await send(app, runId, 'First [[END]].');
    await send(app, runId, 'Second.');
    expect((await readRuns(app, 'a'))[0]).toMatchObject({ status: 'running', outbound_messages: [{}, {}] });
    run.release();
    const executed = objectOf((await answer).body.executed);
    expect(executed).toMatchObject({
      session_end_marker_detected: true,
      outbound_messages: [
        { conversation_id, text: 'First [[END]].', sender: 'Pico' },
        { conversation_id, text: 'Second.', sender: 'Pico' },
      ],
    });
    expect((await readRuns(app, 'a'))[0]?.outbound_messages).toEqual(executed.outbound_messages);
    if (conversation_id !== null) expect((await chat(app, conversation_id)).body.outbound_messages).toEqual([]);
  });

  it('leaves to the next chat what was queued before it', async () => {
    await using app = await startApp({ clock: makeClock() });
    const id = await begin(app);
    const { body: queued } = await app.post(`/chat/${id}/outbound`, { text: 'Before.' });
    await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: id });
    const run = app.agent.hold();
    const answer = app.post('/task/trigger', { task_id: 'a' });
    const { runId } = await run.reached;
    const { body: meanwhile } = await app.post(`/chat/${id}/outbound`, { text: 'Meanwhile.' });
    await send(app, runId, 'Own.');
    run.release();
    expect((await answer).body.outbound_messages).toMatchObject([{ text: 'Own.' }]);
    expect((await chat(app, id)).body.outbound_messages).toEqual([queued, meanwhile]);
    expect((await chat(app, id)).body.outbound_messages).toEqual([]);
  });

  it('comes with the next chat where the run was cut off', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    const id = await begin(app);
    await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: id });
    const run = app.agent.hold();
    const answer = app.post('/task/trigger', { task_id: 'a' });
    await send(app, (await run.reached).runId, 'Half way.');
    const next = await app.restart();
    const { body } = await next.post('/chat', { message: 'x', conversation_id: id });
    expect(body.outbound_messages).toMatchObject([{ text: 'Half way.' }]);
    run.release();
    expect((await answer).body.code).toBe('run_lost');
    expect((await readRuns(app, 'a'))[0]).toMatchObject({ outbound_messages: [{ text: 'Half way.' }] });
  });

  it('is gone with an isolated task that is deleted meanwhile, but for the answer', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    const run = app.agent.hold();
    const answer = app.post('/task/trigger', { task_id: 'a' });
    const { runId } = await run.reached;
    await app.delete('/task/a');
    await send(app, runId, 'I cancelled myself.');
    run.release();
    expect((await answer).body.outbound_messages).toMatchObject([{ text: 'I cancelled myself.' }]);
    expect(app.rows()).toMatchObject({ outbound_messages: 0 });
  });
});
