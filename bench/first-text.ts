/**
 * How soon the first streamed text comes, from the request to the first `chunk`, by where the conversation is found:
 *
 *     new       a new conversation on an instance with a spare
 *     live      a conversation whose process is still there
 *     returning one whose process is gone, on an instance that runs
 *     cold      from the start of the server's process, a request as soon as it listens
 *
 * and what 20 at once, and 50 turns, cost. Always the bundle, as in production, against a loopback model that answers at once.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { readFrames } from '../test/support/frames.ts';
import type { Model } from '../test/support/model.ts';
import { makeDir, post, serverEnv, startServer, type TestServer } from '../test/support/server.ts';
import { type Row, sample, stats, toRow } from './stats.ts';

const root = join(import.meta.dirname, '..');
const entry = 'dist/main.js';

/** From the request to the first `chunk`; the stream is read to its end. */
export async function firstText(url: string, body: object, start = performance.now()): Promise<FirstText> {
  let ms = Number.NaN;
  let conversationId = '';
  for await (const { event, data } of readFrames(await post(`${url}/chat`, { ...body, stream: true }))) {
    if (event === 'chunk' && Number.isNaN(ms)) ms = performance.now() - start;
    if (event === 'done') conversationId = String(data.conversation_id);
  }
  if (Number.isNaN(ms)) throw new Error('a run had no text');
  return { ms, doneMs: performance.now() - start, conversationId };
}

type FirstText = { ms: number; doneMs: number; conversationId: string };

export async function benchWarm(model: Model): Promise<Row[]> {
  await using server = await startServer({ model, entry, env: { WARM_SPARES: '1' } });
  const rows: Row[] = [];
  await firstText(server.url, { message: 'warm up' });
  const conversations: string[] = [];
  rows.push(
    toRow(
      'first text, new conversation on a warm instance',
      await sample(21, async () => {
        await spareReady(server);
        const { ms, conversationId } = await firstText(server.url, { message: 'hi' });
        conversations.push(conversationId);
        return ms;
      }),
    ),
  );
  const [conversation_id = ''] = conversations.slice(-1);
  const whole: number[] = [];
  await spareReady(server);
  rows.push(
    toRow(
      'first text, live conversation',
      await sample(60, async () => {
        const { ms, doneMs } = await firstText(server.url, { message: 'again', conversation_id });
        whole.push(doneMs);
        return ms;
      }),
    ),
    toRow('the whole answer, live conversation', stats(whole)),
  );
  const twenty = conversations.slice(-20);
  await liveAll(server, twenty);
  rows.push(
    toRow(
      'first text, 20 live conversations at once (each of 3 rounds)',
      stats((await rounds(3, () => atOnce(server, twenty))).flat()),
    ),
  );
  const { idle, memory_bytes } = (await health(server)).agent.processes;
  if (memory_bytes !== null)
    rows.push({
      what: `memory, ${idle} idle processes and a spare`,
      unit: 'MB',
      value: Math.round(memory_bytes / 1e6),
    });
  if (memory_bytes !== null)
    rows.push({ what: 'memory a process', unit: 'MB', value: Math.round(memory_bytes / 1e6 / (idle + 1)) });
  return rows;
}

/** Two take turns where one is kept: the process of the other is always gone. */
export async function benchReturning(model: Model): Promise<Row[]> {
  await using server = await startServer({ model, entry, env: { WARM_CONVERSATIONS: '1', WARM_SPARES: '0' } });
  const [a, b] = [await firstText(server.url, { message: 'a' }), await firstText(server.url, { message: 'b' })];
  let turn = 0;
  const stats = await sample(21, async () => {
    turn += 1;
    await settled(server);
    const conversation_id = (turn % 2 === 1 ? a : b).conversationId;
    return (await firstText(server.url, { message: 'back', conversation_id })).ms;
  });
  return [toRow('first text, returning conversation', stats)];
}

export async function benchCold(model: Model): Promise<Row[]> {
  const cold = await sample(15, () => coldText(model.url));
  return [toRow('process start → first text, cold instance', cold)];
}

/** 20 new conversations on an instance that has room for them and one spare. */
export async function benchBurst(model: Model): Promise<Row[]> {
  await using server = await startServer({ model, entry, env: { WARM_SPARES: '1' } });
  await firstText(server.url, { message: 'warm up' });
  await spareReady(server);
  const start = performance.now();
  const samples = await Promise.all(
    Array.from({ length: 20 }, async () => (await firstText(server.url, { message: 'hi' })).ms),
  );
  const wall = performance.now() - start;
  return [
    toRow('first text, 20 new conversations at once', stats(samples)),
    { what: '20 new conversations at once, until the last is done', unit: 'ms', value: Math.round(wall) },
  ];
}

export async function benchTurns(model: Model, turns: number): Promise<Row[]> {
  await using server = await startServer({ model, entry, env: { WARM_SPARES: '1' } });
  const before = model.requests().length;
  const { conversationId: conversation_id } = await firstText(server.url, { message: 'turn 1 of many' });
  for (let turn = 2; turn <= turns; turn += 1)
    await firstText(server.url, { message: `turn ${turn} of many`, conversation_id });
  const sizes = model
    .requests()
    .slice(before)
    .map(({ raw }) => raw.length);
  const kilobytes = (bytes: number) => Math.round(bytes / 1_000);
  return [
    { what: `bytes to the model, ${turns} turns (${sizes.length} requests)`, unit: 'kB', value: kilobytes(sum(sizes)) },
    { what: 'the first request of them', unit: 'kB', value: kilobytes(sizes[0] ?? 0) },
    { what: 'the last request of them', unit: 'kB', value: kilobytes(sizes.at(-1) ?? 0) },
  ];
}

async function coldText(modelUrl: string): Promise<number> {
  const dir = makeDir();
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const start = performance.now();
  const child = spawn(process.execPath, [entry], {
    cwd: root,
    env: { ...serverEnv(dir, modelUrl), WARM_SPARES: '1', PORT: String(port), LOG_LEVEL: 'silent' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  try {
    for (let attempt = 0; attempt < 2_000; attempt += 1) {
      const answer = await fetch(`${url}/health`).catch(() => null);
      if (answer !== null) return (await firstText(url, { message: 'hi' }, start)).ms;
      await sleep(2);
    }
    throw new Error('the server did not listen');
  } finally {
    child.kill('SIGTERM');
    await exited;
    rmSync(dir, { recursive: true, force: true });
  }
}

async function liveAll(server: TestServer, conversations: string[]): Promise<void> {
  for (const conversation_id of conversations) await firstText(server.url, { message: 'stay', conversation_id });
}

async function atOnce(server: TestServer, conversations: string[]): Promise<number[]> {
  const texts = conversations.map((conversation_id) => firstText(server.url, { message: 'all', conversation_id }));
  return (await Promise.all(texts)).map(({ ms }) => ms);
}

async function rounds<T>(count: number, work: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let round = 0; round < count; round += 1) results.push(await work());
  return results;
}

const healthBody = z.object({
  agent: z.object({
    warm: z.number(),
    processes: z.object({
      idle: z.number(),
      starting: z.number(),
      in_runs: z.number(),
      memory_bytes: z.number().nullable(),
    }),
  }),
});

async function health(server: TestServer): Promise<z.infer<typeof healthBody>> {
  return healthBody.parse((await server.get('/health')).body);
}

/** A spare that has just become ready still has work to do. */
const settleMs = 500;

async function spareReady(server: TestServer): Promise<void> {
  while ((await health(server)).agent.warm === 0) await sleep(20);
  await sleep(settleMs);
}

/** Nothing starts, nothing ends. */
async function settled(server: TestServer): Promise<void> {
  for (;;) {
    const { processes } = (await health(server)).agent;
    if (processes.starting === 0 && processes.in_runs === 0 && processes.idle === 1) break;
    await sleep(20);
  }
  await sleep(settleMs);
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
