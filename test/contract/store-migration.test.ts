/** A database of schema 0001 gets the tables of scheduled tasks, and keeps every row that it has. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, it, onTestFinished } from 'vitest';
import type { Tables } from '../../src/store/queries/tables.ts';
import { NodeSqliteDialect } from '../../src/store/sqlite/dialect.ts';
import { createSchema } from '../../src/store/sqlite/schema.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { accept, addTask, claim, settleInput, tick } from '../support/store-inputs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { fill } from '../support/version1.ts';

const at = '2026-01-01T00:00:00.000Z';
const noUsage = {
  input_tokens: 1,
  output_tokens: 2,
  cache_read_input_tokens: 3,
  cache_creation_input_tokens: 4,
  cost_usd: 0.5,
  num_turns: 6,
};

const oldRuns = [
  {
    seq: 3,
    id: 'run-over',
    conversation_id: 'c-1',
    source: 'chat',
    status: 'error',
    fencing_token: 1,
    owner: 'instance-1',
    user_message_id: 'm-1',
    assistant_message_id: 'm-2',
    previous_activity: at,
    previous_session_id: 'session-1',
    model: 'claude-test',
    error: '{"code":"agent_failed"}',
    ...noUsage,
    started_at: at,
    ended_at: at,
  },
  {
    seq: 7,
    id: 'run-running',
    conversation_id: 'c-2',
    source: 'chat',
    status: 'running',
    fencing_token: 2,
    owner: 'instance-1',
    user_message_id: 'm-3',
    assistant_message_id: null,
    previous_activity: null,
    previous_session_id: null,
    model: null,
    error: null,
    ...noUsage,
    started_at: at,
    ended_at: null,
  },
];

const newInRuns = {
  task_id: null,
  task_fencing_token: null,
  slot: null,
  attempt: null,
  result: null,
  outbound_messages: null,
};

it('keeps every row', async () => {
  const { store, all } = await migrate();
  expect(all('conversations')).toMatchObject([
    { seq: 1, id: 'c-1', fencing_token: 1, seen_seq: 2, status: 'idle' },
    { seq: 2, id: 'c-2', fencing_token: 2, seen_seq: 0, status: 'running' },
  ]);
  expect(all('sessions')).toEqual([{ owner_id: 'c-1', session_id: 'session-1', owner_kind: 'conversation' }]);
  expect(all('messages')).toMatchObject([{ id: 'm-1' }, { id: 'm-2' }, { id: 'm-3' }]);
  expect(all('outbound_messages')).toMatchObject([
    { id: 'out-1', delivered_at: null, run_id: null },
    { id: 'out-2', delivered_at: at, run_id: null },
  ]);
  expect(all('runs').slice(0, 2)).toEqual(oldRuns.map((run) => ({ ...run, ...newInRuns })));
  expect(all('runs').slice(2)).toMatchObject([
    { id: 'log-1', task_id: 't-1' },
    { id: 'log-2', task_id: 't-gone' },
  ]);
  expect((await store.listTasks({ limit: 10, cursor: null })).items).toMatchObject([
    { id: 't-1', conversationId: 'c-1', contextMode: 'group', maxAttempts: 3, attempts: 0 },
    { id: 't-2', conversationId: 'c-2', contextMode: 'isolated' },
  ]);
});

it('keeps references, indexes and the file whole', async () => {
  const { store, query } = await migrate();
  expect(query('pragma foreign_key_check')).toEqual([]);
  expect(query('pragma integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  const names = query('select name from sqlite_schema').map((row) => String(row.name));
  expect(names).toEqual(
    expect.arrayContaining([
      'runs_of_conversation',
      'runs_one_running',
      'runs_one_running_of_task',
      'runs_of_task',
      'scheduled_tasks_of_conversation',
      'scheduled_tasks_due',
    ]),
  );
  expect(names.filter((name) => name.startsWith('new_') || name === 'task_run_logs')).toEqual([]);
  expect(await store.deleteConversation('c-1')).toMatchObject({ kind: 'deleted' });
  expect(query(`select id from runs where task_id is null or task_id = 't-1'`)).toEqual([{ id: 'run-running' }]);
  expect(query('select id from scheduled_tasks')).toEqual([{ id: 't-2' }]);
});

it('goes on numbering where it was, though the last numbers are not in use any more', async () => {
  const { store, query } = await migrate((db) => {
    db.exec(`update sqlite_sequence set seq = 40 where name = 'runs'`);
  });
  await accept(store);
  expect(query('select max(seq) as last from runs')).toEqual([{ last: 43 }]);
});

it('ends runs and delivers messages from before', async () => {
  const { store } = await migrate();
  expect(await store.recoverRuns({ owner: 'instance-2', at: tick() })).toBe(1);
  expect(await store.getRun('run-running')).toMatchObject({ status: 'interrupted' });
  const accepted = await accept(store, { conversationId: 'c-1' });
  expect(await store.settleRun(settleInput(accepted))).toMatchObject({ outbound: [{ id: 'out-1' }] });
});

it.each([
  [
    'a second running run of a conversation',
    `insert into runs select 900, 'x', conversation_id, source, status, fencing_token, owner,
    'm-x', null, null, null, null, null, 0, 0, 0, 0, 0, 0, '', null, null, null, null, null, null, null
    from runs where id = 'run-1'`,
  ],
  [
    'a second running run of a task',
    `insert into runs select 900, 'x', null, source, status, fencing_token, owner,
    null, null, null, null, null, null, 0, 0, 0, 0, 0, 0, '', null, task_id, null, null, null, null, null
    from runs where id = 'run-task'`,
  ],
  ['a run that belongs to nothing', `update runs set task_id = null where id = 'run-task'`],
  ['a group task without a conversation', `update scheduled_tasks set context_mode = 'group', conversation_id = null`],
  ['a task in a conversation that is not there', `update scheduled_tasks set conversation_id = 'none'`],
  ['a session whose owner is of no kind', `update sessions set owner_kind = 'task'`],
  ['an unknown schedule type', `update scheduled_tasks set schedule_type = 'weekly'`],
])('has a schema that refuses %s', async (_what, statement) => {
  const { store, direct } = await migrate();
  await accept(store, { runId: 'run-1' });
  await claim(store, await addTask(store), { runId: 'run-task' });
  expect(() => direct.exec(statement)).toThrow(/constraint failed/);
});

it('happens whole or not at all', async () => {
  const path = join(temporaryFolder(), 'messages.db');
  const db = await createSchema1(path);
  // An id that is taken, which the copy of the run log finds out only after other rows are copied.
  db.exec(`update task_run_logs set id = 'run-over' where id = 'log-2'`);
  const dump = () =>
    ['sqlite_schema', 'runs', 'task_run_logs', 'kysely_migration'].map((table) =>
      db.prepare(`select * from ${table}`).all(),
    );
  const before = dump();
  await expect(createSqliteStore({ path })).rejects.toThrow(/UNIQUE constraint failed: new_runs.id/);
  expect(dump()).toEqual(before);
  db.close();
});

async function migrate(change: (db: DatabaseSync) => void = () => {}) {
  const path = join(temporaryFolder(), 'messages.db');
  const old = await createSchema1(path);
  change(old);
  old.close();
  const store = await createSqliteStore({ path });
  const direct = new DatabaseSync(path);
  onTestFinished(async () => {
    direct.close();
    await store.close();
  });
  const query = (statement: string) =>
    direct
      .prepare(statement)
      .all()
      .map((row) => ({ ...row }));
  return { store, direct, query, all: (table: string) => query(`select * from ${table} order by 1`) };
}

/** With rows in every table. */
async function createSchema1(path: string): Promise<DatabaseSync> {
  const db = new DatabaseSync(path);
  const kysely = new Kysely<Tables>({ dialect: new NodeSqliteDialect(db) });
  const provider = { getMigrations: async () => ({ '0001_schema': { up: createSchema } }) };
  const { error } = await new Migrator({
    db: kysely,
    provider,
    migrationTableName: 'kysely_migration',
  }).migrateToLatest();
  if (error !== undefined) throw error;
  const created = { created_at: at };
  const conversation = { ...created, last_activity: at };
  fill(db, 'conversations', [
    {
      id: 'c-1',
      session_id: 'session-1',
      ...conversation,
      message_count: 2,
      status: 'idle',
      fencing_token: 1,
      seen_seq: 2,
    },
    {
      id: 'c-2',
      session_id: null,
      ...conversation,
      message_count: 1,
      status: 'running',
      fencing_token: 2,
      seen_seq: 0,
    },
  ]);
  fill(db, 'sessions', [{ conversation_id: 'c-1', session_id: 'session-1' }]);
  const message = { role: 'user', sender: 'ada', sender_name: 'Ada', content: 'text', ...created };
  fill(db, 'messages', [
    { id: 'm-1', conversation_id: 'c-1', ...message },
    { id: 'm-2', conversation_id: 'c-1', ...message },
    { id: 'm-3', conversation_id: 'c-2', ...message },
  ]);
  fill(db, 'runs', oldRuns);
  fill(db, 'outbound_messages', [
    { id: 'out-1', conversation_id: 'c-1', text: 'ding', ...created },
    { id: 'out-2', conversation_id: 'c-1', text: 'dong', ...created, delivered_at: at },
  ]);
  const task = { prompt: 'p', schedule_type: 'cron', schedule_value: '@daily', status: 'active', ...created };
  fill(db, 'scheduled_tasks', [
    { id: 't-1', conversation_id: 'c-1', context_mode: 'group', ...task },
    { id: 't-2', conversation_id: 'c-2', context_mode: 'isolated', ...task, created_at: '2025-01-01T00:00:00.000Z' },
  ]);
  const line = { run_at: at, duration_ms: 5, status: 'success', result: 'done' };
  fill(db, 'task_run_logs', [
    { id: 'log-1', task_id: 't-1', ...line },
    { id: 'log-2', task_id: 't-gone', ...line },
  ]);
  return db;
}
