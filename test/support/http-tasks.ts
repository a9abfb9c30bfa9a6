/** Tasks for tests: bodies with everything filled in that a test does not care about, and answers as objects. */

import { expect } from 'vitest';
import { z } from 'zod';
import type { Instance, Json } from './http-instance.ts';

/** A minute from now, in UTC, for the clock of `makeClock`. */
export const soon = { prompt: 'Say hello.', schedule_type: 'once', schedule_value: '2026-03-02T12:01:00' };
export const minutely = { prompt: 'Say hello.', schedule_type: 'interval', schedule_value: '60000' };

/** The task, once it is there. */
export async function makeTask(app: Instance, body: Json): Promise<Json> {
  const answer = await app.post('/task', body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
}

export async function readTask(app: Instance, id: unknown): Promise<Json> {
  const answer = await app.send(`/task/${String(id)}`);
  expect(answer.status).toBe(200);
  return answer.body;
}

const object = z.record(z.string(), z.unknown());
const list = z.array(object);

export function objectOf(value: unknown): Json {
  return object.parse(value);
}

export function listOf(value: unknown): Json[] {
  return list.parse(value);
}

/** Newest first. */
export async function readRuns(app: Instance, id: unknown): Promise<Json[]> {
  return listOf((await app.send(`/task/${String(id)}/runs`)).body.runs);
}

export async function readMessages(app: Instance, conversationId: unknown): Promise<Json[]> {
  return listOf((await app.send(`/chat/${String(conversationId)}/messages`)).body.messages);
}
