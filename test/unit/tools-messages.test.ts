/** `send_message`, and what else a tool does to the run that calls it. */

import { describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { startApp, type TestApp } from '../support/http-app.ts';
import { connectTools, toolWays } from '../support/tool-client.ts';

const answered = z.looseObject({
  conversation_id: z.string().nullable(),
  outbound_messages: z.array(
    z.looseObject({ conversation_id: z.string().nullable(), text: z.string(), sender: z.string().nullable() }),
  ),
});

async function open(): Promise<TestApp> {
  const app = await startApp();
  onTestFinished(() => app[Symbol.asyncDispose]());
  return app;
}

async function chat(app: TestApp, body: object = {}) {
  return answered.parse((await app.post('/chat', { message: 'hello', ...body })).body);
}

/** A chat whose agent waits, with the tools that it has. */
async function chatting(app: TestApp, body: object = {}) {
  const hold = app.agent.hold();
  const answer = chat(app, body);
  const { runId, conversationId } = await hold.reached;
  return { ...(await connectTools(app, { way: 'in process', runId, conversationId })), answer, hold, conversationId };
}

test('a message that the agent sends comes with the answer of its run, once', async () => {
  const app = await open();
  const { call, answer, hold, conversationId } = await chatting(app);

  expect(await call('send_message', { text: 'Still at it. ☕' })).toEqual({ text: 'Message queued.', isError: false });
  await call('send_message', { text: 'Nearly.', sender: 'Scout' });
  hold.release();

  expect((await answer).outbound_messages).toMatchObject([
    { text: 'Still at it. ☕', sender: null, conversation_id: conversationId },
    { text: 'Nearly.', sender: 'Scout', conversation_id: conversationId },
  ]);
  expect((await chat(app, { conversation_id: conversationId })).outbound_messages).toEqual([]);
});

test('a client that streams has the message at once', async () => {
  const app = await open();
  const hold = app.agent.hold();
  const frames = await app.stream({ message: 'hello' });
  const context = await hold.reached;
  const { call } = await connectTools(app, { way: 'in process', ...context });

  await call('send_message', { text: 'Still at it.' });

  const events: (string | undefined)[] = [];
  for await (const { event, data } of frames) {
    events.push(event);
    if (event === 'outbound') {
      expect(data).toMatchObject({ text: 'Still at it.' });
      // Not before: the run could not end without it.
      hold.release();
    }
  }
  expect(events.filter((event) => event === 'outbound')).toHaveLength(1);
});

test('a task that runs by itself has its messages in its own answer', async () => {
  const app = await open();
  await app.post('/task', { id: 'scout', prompt: 'Look.', schedule_type: 'interval', schedule_value: '3600000' });
  const hold = app.agent.hold();
  const answer = app.post('/task/trigger', { task_id: 'scout' });
  const context = await hold.reached;
  expect(context.conversationId).toBeNull();
  const { call } = await connectTools(app, { way: 'in process', ...context });

  await call('send_message', { text: 'Nothing to see.' });
  hold.release();

  expect((await answer).body.outbound_messages).toMatchObject([{ text: 'Nothing to see.', conversation_id: null }]);
});

test('an agent can cancel the task that it works on', async () => {
  const app = await open();
  await app.post('/task', { id: 'scout', prompt: 'Look.', schedule_type: 'interval', schedule_value: '3600000' });
  const hold = app.agent.hold();
  const answer = app.post('/task/trigger', { task_id: 'scout' });
  const { call } = await connectTools(app, { way: 'in process', ...(await hold.reached) });

  expect((await call('cancel_task', { task_id: 'scout' })).isError).toBe(false);
  hold.release({ events: [{ type: 'message' }, { type: 'text', text: 'That was the last time.' }] });

  expect(await answer).toMatchObject({ status: 200, body: { status: 'success', result: 'That was the last time.' } });
  expect((await app.send('/task/scout')).status).toBe(404);
});

test('a run that is over sends nothing', async () => {
  const app = await open();
  const { call, answer, hold, conversationId } = await chatting(app);
  hold.release();
  await answer;

  expect(await call('send_message', { text: 'Too late.' })).toEqual({
    text: 'the run is over; a message can only be sent while it works',
    isError: true,
  });
  expect((await chat(app, { conversation_id: conversationId })).outbound_messages).toEqual([]);
});

test('a message over HTTP comes with the next answer of the bound conversation, once', async () => {
  const app = await open();
  const { conversation_id } = await chat(app);
  const { call } = await connectTools(app, { way: 'over HTTP', conversationId: conversation_id });

  expect(await call('send_message', { text: 'Deployed.', sender: 'deployer' })).toEqual({
    text: 'Message queued.',
    isError: false,
  });

  const next = await chat(app, { conversation_id });
  expect(next.outbound_messages).toMatchObject([{ text: 'Deployed.', sender: 'deployer', conversation_id }]);
  expect((await chat(app, { conversation_id })).outbound_messages).toEqual([]);
});

test('a message over HTTP reaches the client that streams a run of the conversation', async () => {
  const app = await open();
  const { conversation_id } = await chat(app);
  const hold = app.agent.hold();
  const frames = await app.stream({ message: 'hello', conversation_id });
  await hold.reached;
  const { call } = await connectTools(app, { way: 'over HTTP', conversationId: conversation_id });

  await call('send_message', { text: 'Deployed.' });

  const events: (string | undefined)[] = [];
  for await (const { event } of frames) {
    events.push(event);
    if (event === 'outbound') hold.release();
  }
  expect(events.filter((event) => event === 'outbound')).toHaveLength(1);
});

test('over HTTP without a conversation a message is an error that names the variable', async () => {
  const { call } = await connectTools(await open(), { way: 'over HTTP' });

  const { text, isError } = await call('send_message', { text: 'Hello?' });

  expect(isError).toBe(true);
  expect(text).toMatch(/set PICOCLAW_CONVERSATION_ID /);
});

test.each(['conv-unknown', '..'])('over HTTP an unknown conversation is an error: %s', async (conversationId) => {
  const { call } = await connectTools(await open(), { way: 'over HTTP', conversationId });

  const expected = { text: `conversation_id not found: ${conversationId}`, isError: true };
  expect(await call('send_message', { text: 'Hello?' })).toEqual(expected);
  const task = { prompt: 'Look.', schedule_type: 'interval', schedule_value: '3600000' };
  expect(await call('schedule_task', task)).toEqual(expected);
});

describe.each(toolWays)('%s', (way) => {
  const openTools = async () => {
    const app = await open();
    const chatted = await chatting(app);
    if (way === 'in process') return { app, ...chatted };
    return { app, ...chatted, ...(await connectTools(app, { way, conversationId: chatted.conversationId })) };
  };

  test.each<[string, Record<string, unknown>, RegExp]>([
    ['a blank text', { text: ' ' }, /^text: must not be blank/],
    ['no text', {}, /^text: is required: must be a string$/],
    ['a blank sender', { text: 'Hello.', sender: ' ' }, /^sender: must not be blank; got " "$/],
    ['a sender without end', { text: 'Hello.', sender: 'a'.repeat(201) }, /^sender: must have at most 200 characters/],
    ['a character that cannot be kept', { text: 'a\0b' }, /^text: must not hold the character U\+0000/],
    ['a conversation of its own choice', { text: 'a', conversation_id: 'conv-1' }, /^conversation_id: is not a known/],
  ])('%s is an error, and nothing is sent', async (_, args, wanted) => {
    const { call, answer, hold } = await openTools();

    const { text, isError } = await call('send_message', args);
    hold.release();

    expect(isError).toBe(true);
    expect(text).toMatch(wanted);
    expect((await answer).outbound_messages).toEqual([]);
  });

  test('a message that cannot be made durable is an error, and is not sent', async () => {
    const { app, call, answer, hold } = await openTools();
    app.breakVolumeAtSync();

    const { text, isError } = await call('send_message', { text: 'Hello.' });
    app.repairVolume();
    hold.release();

    expect({ text, isError }).toEqual({
      text: 'the message could not be written to the persistent volume and was withdrawn; look before you send it again',
      isError: true,
    });
    expect((await answer).outbound_messages).toEqual([]);
  });
});
