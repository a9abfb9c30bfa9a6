/**
 * The HTTP API in process, over the real Runs, Store (SQLite) and Volume, with a scripted agent.
 *
 *     await using app = await startApp();
 *     const { status, body } = await app.post('/chat', { message: 'hello' });
 *
 * Every response that comes through here is held against the contract: the headers that each one has, and that the route
 * documents its status and its body. A test need not ask for that, and cannot forget it.
 */

import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { expect } from 'vitest';
import { z } from 'zod';
import { finishDeletions } from '../../src/conversations/delete.ts';
import { type AppDeps, type AppSettings, createApp, type HttpApp } from '../../src/http/app.ts';
import { type HealthReport, readHealth } from '../../src/http/health.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { Runs } from '../../src/runs/runs.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createCopyVolume } from '../../src/store/volume/copy-volume.ts';
import { type Frame, readFrames } from './frames.ts';
import { ScriptedAgent } from './http-agent.ts';
import { checkAgainstContract } from './http-contract.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type Json = Record<string, unknown>;
export type Answer = { status: number; headers: Headers; body: Json };
export type LogLine = Json & { msg?: string };

export type TestApp = AsyncDisposable & {
  app: HttpApp;
  agent: ScriptedAgent;
  store: Store;
  runs: Runs;
  /** As the routes have them. */
  operations: AppDeps['operations'];
  dir: string;
  /** The response as it is, after the contract's check. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** A JSON response; `body` is `{}` for an empty one. */
  send(path: string, init?: RequestInit): Promise<Answer>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
  stream(body: object): Promise<Frames>;
  /** Rows of each table. */
  rows(): Record<string, number>;
  /** What a query finds in the volume's database. */
  onVolume(query: string): Json[];
  /** On the runtime database, beside the store. */
  sql(statement: string, ...values: (string | number | null)[]): void;
  logs(): LogLine[];
  /** Resolves with the line that the request's id is on, past or to come. */
  requestLine(requestId: string): Promise<LogLine>;
  stopReasons: (string | null)[];
  /** As at a start. */
  finishDeletions(): Promise<void>;
  /** The volume cannot be written until `repairVolume`. */
  breakVolume(): void;
  repairVolume(): void;
};

export type AppInput = {
  settings?: Partial<AppSettings>;
  stopping?: () => boolean;
  health?: () => Promise<HealthReport>;
  operations?: (real: AppDeps['operations']) => AppDeps['operations'];
  clock?: Clock;
  /** Of tasks that name none. */
  timezone?: string;
  leaseMs?: number;
  /** In front of the real store, for a fault that its files cannot have on demand. */
  store?: (real: Store) => Store;
  /** In front of each sync of a request. */
  beforeSync?: () => Promise<void>;
};

export async function startApp(input: AppInput = {}): Promise<TestApp> {
  const dir = temporaryFolder();
  const storeDir = join(dir, 'store');
  mkdirSync(storeDir);
  const localDbPath = join(dir, 'messages.db');
  const { log, lines, requestLine } = captureLog();
  const clock = input.clock ?? systemClock;
  const agent = new ScriptedAgent();
  const copyVolume = createCopyVolume({ storeDir, localDbPath, clock, log });
  await copyVolume.hydrate();
  const sqliteStore = await createSqliteStore({ path: localDbPath });
  await copyVolume.sync();
  const store = input.store?.(sqliteStore) ?? sqliteStore;
  const volume = {
    status: () => copyVolume.status(),
    sync: async () => {
      await input.beforeSync?.();
      await copyVolume.sync();
    },
  };
  const settings: AppSettings = { ...defaultSettings, ...input.settings };
  const timezone = input.timezone ?? 'UTC';
  const runs = new Runs({
    store,
    agent,
    volume,
    clock,
    log,
    owner: randomUUID(),
    leaseMs: input.leaseMs ?? 90_000,
    settings: { assistantName: 'Pico', timezone, sessionEndMarker: settings.sessionEndMarker },
  });
  const stopReasons: (string | null)[] = [];
  const volumes = { memory: true, skills: false, sessions: true, store: true };
  const real: AppDeps['operations'] = {
    runs,
    store,
    volume,
    agent,
    clock,
    log,
    settings: { timezone, maxExecutionMs: settings.maxExecutionMs },
  };
  const operations = input.operations?.(real) ?? real;
  const app = createApp({
    operations,
    health: input.health ?? (() => readHealth({ store, volume, agent, volumes, clock, log })),
    stopping: input.stopping ?? (() => false),
    requestStop: (reason) => stopReasons.push(reason),
    log,
    settings,
  });

  const fetchApp = async (path: string, init: RequestInit = {}) => {
    const request = new Request(`http://localhost${path}`, init);
    const response = await app.fetch(request);
    await checkAgainstContract(request, response, settings);
    return response;
  };
  const send = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetchApp(path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : parseObject(text) };
  };
  const sendJson = (method: string, path: string, body: unknown, headers: Record<string, string> = {}) =>
    send(path, { method, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });

  return {
    app,
    agent,
    store,
    runs,
    operations,
    dir,
    fetch: fetchApp,
    send,
    post: (path, body, headers) => sendJson('POST', path, body, headers),
    put: (path, body) => sendJson('PUT', path, body),
    delete: (path) => send(path, { method: 'DELETE' }),
    stream: async (body) => {
      const response = await fetchApp('/chat', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...body, stream: true }),
      });
      return Object.assign(readFrames(response), { response });
    },
    rows: () => countRows(localDbPath),
    onVolume: (query) => {
      using db = new DatabaseSync(join(storeDir, 'messages.db'), { readOnly: true });
      return db
        .prepare(query)
        .all()
        .map((row) => ({ ...row }));
    },
    sql: (statement, ...values) => {
      using db = new DatabaseSync(localDbPath);
      db.prepare(statement).run(...values);
    },
    logs: () => lines.map(parseObject),
    requestLine,
    stopReasons,
    finishDeletions: () => finishDeletions({ store, volume, agent, log }),
    breakVolume: () => {
      rmSync(storeDir, { recursive: true });
      writeFileSync(storeDir, 'not a folder');
    },
    repairVolume: () => {
      rmSync(storeDir);
      mkdirSync(storeDir);
    },
    async [Symbol.asyncDispose]() {
      await runs.stop({ graceMs: 0 });
      await copyVolume.stop();
      await sqliteStore.close();
    },
  };
}

const defaultSettings: AppSettings = {
  version: '2.0.0-test',
  commit: 'abc1234',
  buildTime: '2026-01-31T09:30:00Z',
  apiTokens: [],
  maxExecutionMs: 60_000,
  allowStdioMcp: false,
  sessionEndMarker: '[[END]]',
  shutdownGraceMs: 10_000,
};

/** `response` for a look at its headers. */
export type Frames = AsyncGenerator<Frame, void> & { response: Response };

/** The operations with another way to start a run of a chat. */
export function withStart(
  real: AppDeps['operations'],
  start: AppDeps['operations']['runs']['start'],
): AppDeps['operations'] {
  const { runs } = real;
  return {
    ...real,
    runs: {
      start,
      startTask: (input) => runs.startTask(input),
      sendMessage: (input) => runs.sendMessage(input),
    },
  };
}

export function parseObject(text: string): Json {
  return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
}

/** A problem's faults by path. */
export function faultsOf(body: Json): Record<string, string> {
  const errors = z.array(z.strictObject({ path: z.string(), message: z.string() })).parse(body.errors ?? []);
  return Object.fromEntries(errors.map(({ path, message }) => [path, message]));
}

export function expectProblem(answer: Answer, status: number, code: string): void {
  expect({ status: answer.status, code: answer.body.code }).toEqual({ status, code });
}

function countRows(path: string): Record<string, number> {
  using db = new DatabaseSync(path, { readOnly: true });
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").all();
  return Object.fromEntries(
    tables.map(({ name }) => [String(name), Number(db.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.n)]),
  );
}

function captureLog() {
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  const log = pino(
    { base: null, formatters: { level: (level) => ({ level }) } },
    {
      write(line: string) {
        lines.push(line);
        for (const watcher of watchers) watcher();
      },
    },
  );
  const requestLine = (requestId: string) =>
    new Promise<LogLine>((resolve) => {
      const look = () => {
        const found = lines.map(parseObject).find((line) => line.msg === 'request' && line.request_id === requestId);
        if (!found) return;
        watchers.delete(look);
        resolve(found);
      };
      watchers.add(look);
      look();
    });
  return { log, lines, requestLine };
}
