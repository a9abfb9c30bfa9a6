/**
 * The HTTP API in process, over the real Runs, Store (SQLite) and Volume, with a scripted agent.
 *
 *     await using app = await startApp();
 *     const { status, body } = await app.post('/chat', { message: 'hello' });
 *
 * Every response that comes through here is held against the contract: the headers that each one has, and that the route
 * documents its status and its body. A test need not ask for that, and cannot forget it.
 */

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { expect } from 'vitest';
import { z } from 'zod';
import { finishDeletions } from '../../src/conversations/delete.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { createSkills } from '../../src/skills/skills.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createCopyVolume } from '../../src/store/volume/copy-volume.ts';
import { ScriptedAgent } from './http-agent.ts';
import {
  type Answer,
  type Instance,
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
    /** Another instance over the same store, which takes the one before for dead. */
    restart(): Promise<Instance>;
    /** Rows of each table. */
    rows(): Record<string, number>;
    /** What a query finds in the volume's database. */
    onVolume(query: string): Json[];
    /** On the runtime database, beside the store. */
    sql(statement: string, ...values: (string | number | null)[]): void;
    logs(): LogLine[];
    /** Resolves with the line that the request's id is on, past or to come. */
    requestLine(requestId: string): Promise<LogLine>;
    /** As at a start. */
    finishDeletions(): Promise<void>;
    /** The volume cannot be written until `repairVolume`. */
    breakVolume(): void;
    repairVolume(): void;
  };

export type AppInput = InstanceInput & {
  clock?: Clock;
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
  const skills = createSkills({
    memoryDir: join(dir, 'memory'),
    builtInDir: join(dir, 'built-in-skills'),
    orgSkillsDir: join(dir, 'skills'),
    betweenStarts: (work) => work(),
    log,
  });
  const parts = { agent, store, volume, skills, clock, log };
  const instances: Instance[] = [];
  const addInstance = () => {
    const instance = makeInstance(parts, input);
    instances.push(instance);
    return instance;
  };

  return {
    ...addInstance(),
    agent,
    store,
    dir,
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
      db.prepare(statement).run(...values);
    },
    logs: () => lines.map(parseObject),
    requestLine,
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
      await Promise.all(instances.map(({ runs }) => runs.stop({ graceMs: 0 })));
      await copyVolume.stop();
      await sqliteStore.close();
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
