/**
 * The HTTP API in process, over the real Runs and the real store on a volume, with a scripted agent.
 *
 *     await using app = await startApp();
 *     const { status, body } = await app.post('/chat', { message: 'hello' });
 *
 * Every response that comes through here is held against the contract: the headers that each one has, and that the route
 * documents its status and its body. A test need not ask for that, and cannot forget it.
 */

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { expect } from 'vitest';
import { z } from 'zod';
import { finishDeletions } from '../../src/conversations/delete.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createSkills } from '../../src/skills/skills.ts';
import { StoreAccess } from '../../src/store/access.ts';
import type { Store } from '../../src/store/store.ts';
import type { Instance as Self } from '../../src/store/volume/instance.ts';
import { ScriptedAgent } from './http-agent.ts';
import {
  type Answer,
  type Instance,
  type InstanceDeps,
  type InstanceInput,
  type Json,
  makeInstance,
  parseObject,
} from './http-instance.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type LogLine = Json & { msg?: string };

export type TestApp = AsyncDisposable &
  Instance & {
    agent: ScriptedAgent;
    store: Store;
    dir: string;
    storeDir: string;
    /** Another instance over the same store, which takes the one before for dead. It shares the first one's hold on the volume. */
    restart(): Promise<Instance>;
    /** Rows of each table. */
    rows(): Record<string, number>;
    /** What a query finds in the volume's database, log included. SQLite leaves its index of the log beside it. */
    onVolume(query: string): Json[];
    /** On the runtime database, beside the store. */
    sql(statement: string, ...values: (string | number | null)[]): void;
    logs(): LogLine[];
    /** Resolves with the line that the request's id is on, past or to come. */
    requestLine(requestId: string): Promise<LogLine>;
    /** As at a start. */
    finishDeletions(): Promise<void>;
    /** As when the volume is unmounted: it is not there until `repairVolume`. */
    breakVolume(): void;
    /** The same, once the next request is at work and syncs: before that it would be refused without any work. */
    breakVolumeAtSync(): void;
    repairVolume(): void;
  };

export type AppInput = InstanceInput & {
  clock?: Clock;
  /** Another app's, as by a shared mount; without one the app has its own. */
  storeDir?: string;
  /** Who it is for others that share the volume. Two of the same process do not wait for each other. */
  self?: Self;
  /** In front of the real store, for a fault that its files cannot have on demand. */
  store?: (real: Store) => Store;
  /** In front of each sync of a request. */
  beforeSync?: () => Promise<void>;
};

export async function startApp(input: AppInput = {}): Promise<TestApp> {
  const dir = temporaryFolder();
  const storeDir = input.storeDir ?? join(dir, 'store');
  const unmounted = `${storeDir}.unmounted`;
  mkdirSync(storeDir, { recursive: true });
  const localDbPath = join(dir, 'messages.db');
  const { log, lines, requestLine } = captureLog();
  const clock = input.clock ?? systemClock;
  const agent = new ScriptedAgent();
  const instances: Instance[] = [];
  const access = new StoreAccess({
    storeDir,
    localDbPath,
    clock,
    log,
    onLost: async () => void (await Promise.all(instances.map(({ runs }) => runs.drop()))),
    onOpen: async (opened) => void (await opened.recoverRuns({ owner: 'nobody', at: clock.now() })),
    ...(input.self === undefined ? {} : { self: input.self }),
  });
  const store = input.store?.(access.store) ?? access.store;
  let breaksAtSync = false;
  const breakVolume = () => {
    renameSync(storeDir, unmounted);
    writeFileSync(storeDir, 'not a folder');
  };
  const volume = {
    status: () => access.status(),
    sync: async () => {
      await input.beforeSync?.();
      if (breaksAtSync) breakVolume();
      breaksAtSync = false;
      await access.sync();
    },
    useIfOurs: (work: () => Promise<void>) => access.useIfOurs(work),
  };
  const skills = createSkills({
    memoryDir: join(dir, 'memory'),
    builtInDir: join(dir, 'built-in-skills'),
    orgSkillsDir: join(dir, 'skills'),
    betweenStarts: (work) => work(),
    log,
  });
  const parts: InstanceDeps = {
    agent,
    store,
    volume,
    useStore: (kind, work) => access.use(kind, work),
    hold: () => access.hold(),
    skills,
    clock,
    log,
  };
  const addInstance = () => {
    const instance = makeInstance(parts, input);
    instances.push(instance);
    return instance;
  };
  const first = addInstance();
  await access.start();

  return {
    ...first,
    agent,
    store,
    dir,
    storeDir,
    restart: async () => {
      const instance = addInstance();
      await store.recoverRuns({ owner: instance.owner, at: clock.now() });
      return instance;
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
      // Folding its log in is for its owner alone.
      db.exec('PRAGMA wal_autocheckpoint = 0');
      db.prepare(statement).run(...values);
    },
    logs: () => lines.map(parseObject),
    requestLine,
    finishDeletions: () => finishDeletions({ store, volume, agent, log }),
    breakVolume,
    breakVolumeAtSync: () => {
      breaksAtSync = true;
    },
    repairVolume: () => {
      rmSync(storeDir);
      renameSync(unmounted, storeDir);
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(instances.map(({ runs }) => runs.stop({ graceMs: 0 })));
      await access.stop();
    },
  };
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
