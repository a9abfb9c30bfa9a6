/** A day on a platform that starts instances for requests, freezes them after each, and takes them away (test/support/lambda.ts). */

import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { installedApp } from '../support/bundle.ts';
import { collect } from '../support/frames.ts';
import { createLambda, type Instance, type Lambda, secrets } from '../support/lambda.ts';
import { type Model, startModel } from '../support/model.ts';
import { asCommand, obey } from '../support/obedient-model.ts';
import { chatAnswer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { until } from '../support/until.ts';
import { changeVolume } from '../support/volume-change.ts';

/** Short enough to run out in a freeze. */
const warmIdleMs = 1_000;

const app = installedApp();
let model: Model;
let lambda: Lambda;
let instances: Instance[];

beforeAll(async () => {
  model = await startModel();
  obey(model);
});
afterAll(() => model.stop());

beforeEach(() => {
  lambda = createLambda({ app, dir: temporaryFolder(), model, env: { WARM_IDLE_MS: String(warmIdleMs) } });
  instances = [];
});
afterEach(async () => {
  await lambda[Symbol.asyncDispose]();
  for (const instance of instances) {
    for (const secret of Object.values(secrets)) expect(instance.output()).not.toContain(secret);
    expect(instance.output()).not.toMatch(/"level":"(error|fatal)"/);
  }
});

test('an instance answers, is frozen, goes on later, runs its tasks, and ends when it is told to', async () => {
  const instance = await start();
  const frames = await collect(instance.stream({ message: 'good morning' }));
  expect(frames.map(({ event }) => event)).toEqual(['start', 'chunk', 'done']);
  const { conversation_id } = chatAnswer.parse(frames.at(-1)?.data);
  expect(onVolume(conversation_id)).toEqual(['good morning', 'Yes.']);

  await chat(instance, { message: 'are you there?', conversation_id });
  expect(JSON.stringify(model.requests().at(-1)?.body.messages)).toContain('good morning');

  const task = { id: 'noon', prompt: 'Look at the clock.', schedule_type: 'once', schedule_value: '2020-01-01T00:00' };
  const made = await instance.invoke('POST', '/task', { ...task, context_mode: 'group', conversation_id });
  expect(made.status).toBe(201);
  // The time for which its idle process is kept runs out in the freeze, and the model API has hung up.
  await sleep(warmIdleMs);
  model.hangUp();

  const checked = await instance.invoke('POST', '/task/check', {});
  expect(checked).toMatchObject({ status: 200, body: { executed: { status: 'success', task_id: 'noon' } } });
  const { body } = await instance.invoke('GET', `/chat/${conversation_id}/messages`);
  expect(contents(body)).toEqual([
    ...['good morning', 'Yes.', 'are you there?', 'Yes.'],
    ...[expect.stringMatching(/^\[SCHEDULED TASK\]\n.*\n\nLook at the clock\.$/), 'Yes.'],
  ]);
  expect(onVolume(conversation_id)).toEqual(contents(body));

  const ending = await instance.terminate();
  expect(ending).toEqual({ code: 0, inTime: true, left: [] });
});

test('a run that passes its time limit says so, and nothing of it is there when the instance is frozen', async () => {
  const instance = await start();
  const { conversation_id } = await chat(instance, { message: 'hello' });
  const message = asCommand('setsid sleep 4711 & sleep 4712');
  let hasRun = false;
  // On a machine that is busy enough the limit is there before the command.
  for (let limitMs = 2_000; !hasRun; limitMs *= 2) {
    let isOver = false;
    const late = chat(instance, { message, conversation_id, max_execution_ms: limitMs }).finally(() => {
      isOver = true;
    });
    await until('the command runs, or its time is up', () => {
      hasRun = count(instance.processes(), 'sleep') === 2;
      return hasRun || isOver;
    });
    expect(await late).toMatchObject({ status: 'timeout', conversation_id });
    expect(instance.processes()).not.toContain('sleep');
  }
  expect(await chat(instance, { message: 'go on', conversation_id })).toMatchObject({ status: 'success' });
});

test('an instance that is ended while it streams keeps what was said, and the next goes on with it', async () => {
  const instance = await start();
  const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('a long story') });
  const frames = instance.stream({ message: 'a long story' });
  const seen = [await frames.next(), await frames.next()];
  expect(seen.map(({ value }) => value?.event)).toEqual(['start', 'chunk']);
  const ending = instance.terminate();
  const last = (await collect(frames)).at(-1);
  expect(last).toMatchObject({ event: 'done', data: { status: 'error', error_code: 'run_cancelled', result: 'Yes.' } });
  expect(await ending).toEqual({ code: 0, inTime: true, left: [] });
  stall.release();

  const { conversation_id } = chatAnswer.parse(last?.data);
  const next = await start();
  expect(await chat(next, { message: 'go on', conversation_id })).toMatchObject({ status: 'success' });
  expect(onVolume(conversation_id)).toEqual(['a long story', 'Yes.', 'go on', 'Yes.']);
});

test('an instance that is lost in the middle of a task loses nothing: the next goes on, and the task is tried again', async () => {
  const instance = await start();
  const { conversation_id } = await chat(instance, { message: 'remember the lamp' });
  const task = { id: 'lamp', prompt: 'Clean it.', schedule_type: 'once', schedule_value: '2020-01-01T00:00' };
  await instance.invoke('POST', '/task', { ...task, context_mode: 'group', conversation_id });
  const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('SCHEDULED TASK') });
  const lost = instance.invoke('POST', '/task/check', {});
  lost.catch(() => undefined);
  await stall.reached;
  await instance.cut();
  stall.release();
  await expect(lost).rejects.toThrow();
  await passTaskLease();

  const next = await start();
  expect(await chat(next, { message: 'which one?', conversation_id })).toMatchObject({ status: 'success' });
  expect(JSON.stringify(model.requests().at(-1)?.body.messages)).toContain('remember the lamp');
  const { body } = await next.invoke('POST', '/task/check', {});
  expect(body).toMatchObject({ checked: 1, executed: { status: 'success', attempt: 2 }, remaining: 0 });
  expect(await next.invoke('POST', '/task/check', {})).toMatchObject({ body: { checked: 0, next_due_at: null } });
});

test('a second instance serves what a frozen one has answered, and each knows what the other has said', async () => {
  const first = await start();
  const told = (await collect(first.stream({ message: 'said on the first' }))).at(-1);
  const { conversation_id } = chatAnswer.parse(told?.data);
  // Frozen as it is, it is not taken for one that is at work, for which the next would wait.
  expect(onLease()).toBe('idle');
  const second = await start();
  await chat(second, { message: 'said on the second', conversation_id });
  expect(JSON.stringify(model.requests().at(-1)?.body.messages)).toContain('said on the first');
  expect(onLease()).toBe('idle');
  await chat(first, { message: 'said on the first again', conversation_id });
  expect(JSON.stringify(model.requests().at(-1)?.body.messages)).toContain('said on the second');
  await Promise.all([first.cut(), second.cut()]);

  const third = await start();
  const { body } = await third.invoke('GET', `/chat/${conversation_id}/messages`);
  const said = ['said on the first', 'Yes.', 'said on the second', 'Yes.', 'said on the first again', 'Yes.'];
  expect(contents(body)).toEqual(said);
});

async function start(): Promise<Instance> {
  const instance = await lambda.start();
  instances.push(instance);
  return instance;
}

async function chat(instance: Instance, body: object): Promise<z.infer<typeof chatAnswer>> {
  const answer = await instance.invoke('POST', '/chat', body);
  expect(answer).toMatchObject({ status: 200 });
  expect(answer.headers.get('x-request-id')).toMatch(/^req-/);
  return chatAnswer.parse(answer.body);
}

function count(names: string[], name: string): number {
  return names.filter((each) => each === name).length;
}

function contents(body: object): string[] {
  const { messages } = z.object({ messages: z.array(z.looseObject({ content: z.string() })) }).parse(body);
  return messages.map(({ content }) => content);
}

/** Whoever has the instance's memory, this is what is kept. */
function onVolume(conversationId: string): string[] {
  using db = new DatabaseSync(join(lambda.volume, 'store/messages.db'), { readOnly: true });
  const rows = db.prepare('select content from messages where conversation_id = ? order by rowid').all(conversationId);
  return rows.map(({ content }) => String(content));
}

/** What the instance that has the volume says of itself. */
function onLease(): unknown {
  const generation = dirname(realpathSync(join(lambda.volume, 'store/messages.db')));
  return JSON.parse(readFileSync(join(generation, 'lease'), 'utf8')).state;
}

/** As if the half minute had passed after which a task of a lost instance may be tried again. No instance is there. */
function passTaskLease(): Promise<void> {
  return changeVolume(lambda.volume, async (_, db) =>
    db.exec(
      `update scheduled_tasks set lease_expires_at = '2020-01-01T00:00:00.000Z' where lease_expires_at is not null`,
    ),
  );
}
