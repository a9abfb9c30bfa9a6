/** One instance of the server in process: its runs, its app, and a client of it. Several may share a store, as after a crash. */

import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type AppDeps, type AppSettings, createApp, type HttpApp } from '../../src/http/app.ts';
import type { UseStore } from '../../src/http/context.ts';
import { makeEarlyHealth } from '../../src/http/early-health.ts';
import { type HealthReport, readHealth, type StoreHealth } from '../../src/http/health.ts';
import type { LazyApp } from '../../src/http/server.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import { Runs } from '../../src/runs/runs.ts';
import type { InstalledSkills, Skills } from '../../src/skills/skills.ts';
import type { Store } from '../../src/store/store.ts';
import { nextDueAt } from '../../src/tasks/read.ts';
import { checkFrames } from './api-description.ts';
import { type Frame, readFrames } from './frames.ts';
import type { ScriptedAgent } from './http-agent.ts';
import { checkAgainstContract } from './http-contract.ts';

export type Json = Record<string, unknown>;
export type Answer = { status: number; headers: Headers; body: Json };

/** `response` for a look at its headers. */
export type Frames = AsyncGenerator<Frame, void> & { response: Response };

type Operations = AppDeps['operations'];

export type Instance = {
  app: HttpApp;
  /** The same for a socket. */
  lazyApp: LazyApp;
  runs: Runs;
  /** Names it in the runs that it executes. */
  owner: string;
  /** As the routes have them. */
  operations: Operations;
  /** The response as it is, after the contract's check. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** A JSON response; `body` is `{}` for an empty one. */
  send(path: string, init?: RequestInit): Promise<Answer>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
  put(path: string, body: unknown): Promise<Answer>;
  delete(path: string): Promise<Answer>;
  stream(body: object): Promise<Frames>;
  stopReasons: (string | null)[];
  /** As its responses must have it in their headers. */
  build: { version: string; commit: string };
};

export type InstanceInput = {
  settings?: Partial<AppSettings>;
  stopping?: () => boolean;
  health?: () => Promise<HealthReport>;
  operations?: (real: Operations) => Operations;
  /** Of tasks that name none. */
  timezone?: string;
  leaseMs?: number;
};

/** What instances share. */
export type InstanceDeps = {
  agent: ScriptedAgent;
  store: Store;
  volume: { status(): StoreHealth; sync(): Promise<void>; useIfOurs(work: () => Promise<void>): Promise<boolean> };
  useStore: UseStore;
  hold: () => () => Promise<void>;
  /** Without them there are none. */
  skills?: Skills;
  clock: Clock;
  log: Log;
};

const defaultSettings: AppSettings = {
  version: '2.0.0-test',
  commit: 'abc1234',
  buildTime: '2026-01-31T09:30:00Z',
  apiTokens: [],
  allowAnonymous: true,
  maxExecutionMs: 60_000,
  allowStdioMcp: false,
  sessionEndMarker: '[[END]]',
  shutdownGraceMs: 10_000,
};

const none: InstalledSkills = { builtIn: [], org: [], user: [], effective: [], warnings: [] };
const noSkills: Skills = { reload: async () => none, read: async () => none };

const volumes = { memory: true, skills: false, sessions: true, store: true };

export function makeInstance(deps: InstanceDeps, input: InstanceInput): Instance {
  const { log } = deps;
  const owner = randomUUID();
  const settings: AppSettings = { ...defaultSettings, ...input.settings };
  const timezone = input.timezone ?? 'UTC';
  const runs = new Runs({
    ...deps,
    owner,
    leaseMs: input.leaseMs ?? 90_000,
    onTaskRunEnded: () => undefined,
    settings: { assistantName: 'Pico', timezone, sessionEndMarker: settings.sessionEndMarker },
  });
  const real: Operations = {
    skills: noSkills,
    ...deps,
    runs,
    settings: { timezone, maxExecutionMs: settings.maxExecutionMs },
  };
  const operations = input.operations?.(real) ?? real;
  const stopReasons: (string | null)[] = [];
  const health = {
    health: input.health ?? (() => readHealth({ ...deps, volumes, nextDueAt: () => nextDueAt(deps) })),
    stopping: input.stopping ?? (() => false),
    log,
    settings,
  };
  const app = createApp({
    ...health,
    operations,
    useStore: deps.useStore,
    requestStop: (reason) => stopReasons.push(reason),
  });
  const lazyApp: LazyApp = { load: async () => app, early: makeEarlyHealth(health), log };
  return { app, lazyApp, runs, owner, operations, stopReasons, build: settings, ...makeClient(app, settings) };
}

function makeClient(app: HttpApp, settings: AppSettings) {
  const fetchApp = async (path: string, init: RequestInit = {}) => {
    const request = new Request(path.startsWith('/') ? `http://localhost${path}` : path, init);
    const response = await app.fetch(request);
    const sent = typeof init.body === 'string' ? init.body : undefined;
    await checkAgainstContract({ request, sent }, response, settings);
    return response;
  };
  const send = async (path: string, init: RequestInit = {}): Promise<Answer> => {
    const response = await fetchApp(path, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? {} : parseObject(text) };
  };
  const withJson = (method: string, body: unknown, headers: Record<string, string> = {}) => ({
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return {
    fetch: fetchApp,
    send,
    post: (path: string, body: unknown, headers?: Record<string, string>) =>
      send(path, withJson('POST', body, headers)),
    put: (path: string, body: unknown) => send(path, withJson('PUT', body)),
    delete: (path: string) => send(path, { method: 'DELETE' }),
    stream: async (body: object) => {
      const response = await fetchApp('/chat', withJson('POST', { ...body, stream: true }));
      return Object.assign(checkFrames(readFrames(response)), { response });
    },
  };
}

/** The operations with another way to start a run of a chat. */
export function withStart(real: Operations, start: Operations['runs']['start']): Operations {
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
