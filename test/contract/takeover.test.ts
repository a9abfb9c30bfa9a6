/** A database of PicoClaw 1.x becomes one of this version in place, and nothing of it is lost. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import type { TaskRun } from '../../src/domain/task.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { accept, acceptInput, contents, listDue, runOnce, settleInput } from '../support/store-inputs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createVersion1, fill } from '../support/version1.ts';

type Row = Record<string, string | number | null>;

const conversation = (id: string, more: Row = {}): Row => ({
  id,
  session_id: `session-of-${id}`,
  created_at: '2025-01-01T00:00:00.000Z',
  last_activity: '2025-01-02T00:00:00.000Z',
  message_count: 0,
  status: 'idle',
  ...more,
});

const message = (id: string, conversationId: string, more: Row = {}): Row => ({
  id,
  conversation_id: conversationId,
  role: 'user',
  sender: 'ada',
  sender_name: 'Ada',
  content: `content of ${id}`,
  created_at: '2025-01-01T00:00:00.000Z',
  ...more,
});

const outbound = (id: string | number, conversationId: string, more: Row = {}): Row => ({
  id,
  conversation_id: conversationId,
  text: `text of ${id}`,
  sender: null,
  created_at: '2025-01-01T00:00:00.000Z',
  delivered: 0,
  ...more,
});

const task = (id: string | null, conversationId: string, more: Row = {}): Row => ({
  id,
  conversation_id: conversationId,
  prompt: 'water the plants',
  schedule_type: 'cron',
  schedule_value: '0 9 * * *',
  context_mode: 'group',
  next_run: '2025-02-01T09:00:00.000Z',
  last_run: null,
  last_result: null,
  status: 'active',
  created_at: '2025-01-01T00:00:00.000Z',
  ...more,
});

const runLog = (id: string | number, taskId: string, more: Row = {}): Row => ({
  id,
  task_id: taskId,
  run_at: '2025-01-01T09:00:00.000Z',
  duration_ms: 1200,
  status: 'success',
  result: 'done',
  error: null,
  ...more,
});

it('keeps every conversation, message, outbound message, task and run log', async () => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1', { message_count: 2 }), conversation('c-2', { session_id: null })]);
    fill(db, 'messages', [
      message('m-1', 'c-1'),
      message('m-2', 'c-1', {
        role: 'assistant',
        sender: null,
        sender_name: null,
        created_at: '2025-01-01T00:00:01.000Z',
      }),
    ]);
    fill(db, 'outbound_messages', [outbound(1, 'c-1'), outbound(2, 'c-1', { delivered: 1 })]);
    fill(db, 'scheduled_tasks', [
      task('t-1', 'c-1'),
      task('t-2', 'c-2', { status: 'paused', context_mode: 'isolated' }),
    ]);
    fill(db, 'task_run_logs', [runLog(1, 't-1'), runLog(2, 't-1', { status: 'error', result: null, error: 'no' })]);
  });
  expect(await store.counts()).toEqual({ conversations: 2, tasks: 2 });
  expect(await store.getConversation('c-1')).toEqual({
    id: 'c-1',
    sessionId: 'session-of-c-1',
    createdAt: '2025-01-01T00:00:00.000Z',
    lastActivity: '2025-01-02T00:00:00.000Z',
    messageCount: 2,
    status: 'idle',
  });
  const page = await store.listMessages('c-1', { limit: 10, cursor: null });
  expect(page?.items).toEqual([
    {
      id: 'm-1',
      conversationId: 'c-1',
      role: 'user',
      sender: 'ada',
      senderName: 'Ada',
      content: 'content of m-1',
      createdAt: '2025-01-01T00:00:00.000Z',
    },
    {
      id: 'm-2',
      conversationId: 'c-1',
      role: 'assistant',
      sender: 'assistant',
      senderName: 'assistant',
      content: 'content of m-2',
      createdAt: '2025-01-01T00:00:01.000Z',
    },
  ]);
  expect(rows('scheduled_tasks')).toMatchObject([
    task('t-1', 'c-1'),
    task('t-2', 'c-2', { status: 'paused', context_mode: 'isolated' }),
  ]);
  expect(await lines(store, 't-1')).toMatchObject([
    { id: '2', status: 'error', result: null, error: { code: 'agent_failed', detail: 'no' } },
    { id: '1', status: 'success', result: 'done', error: null },
  ]);
  expect(await lines(store, 't-2')).toEqual([]);
});

it('gives a task of 1.x the defaults of what 1.x did not know', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1', { last_run: '2025-01-02 03:04:05', last_result: 'done' })]);
  });
  expect(await store.getTask('t-1')).toEqual({
    id: 't-1',
    conversationId: 'c-1',
    prompt: 'water the plants',
    scheduleType: 'cron',
    scheduleValue: '0 9 * * *',
    contextMode: 'group',
    timezone: null,
    nextRun: '2025-02-01T09:00:00.000Z',
    lastRun: '2025-01-02T03:04:05.000Z',
    lastResult: 'done',
    lastStatus: null,
    status: 'active',
    createdAt: '2025-01-01T00:00:00.000Z',
    model: null,
    maxExecutionMs: null,
    maxAttempts: 3,
    attempts: 0,
  });
});

it('makes a run of each line of a run log', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1')]);
    fill(db, 'task_run_logs', [runLog(1, 't-1', { run_at: '2025-01-01 09:00:00', duration_ms: 61_234 })]);
  });
  expect(await lines(store, 't-1')).toEqual([
    {
      id: '1',
      taskId: 't-1',
      source: 'task_check',
      conversationId: null,
      status: 'success',
      slot: null,
      attempt: 1,
      startedAt: '2025-01-01T09:00:00.000Z',
      endedAt: '2025-01-01T09:01:01.234Z',
      durationMs: 61_234,
      result: 'done',
      error: null,
      model: null,
      usage: { inputTokens: 0, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
      costUsd: 0,
      numTurns: 0,
      outboundMessages: [],
    },
  ]);
});

it.each([
  ['success', null, 'success', null],
  ['timeout', 'Timed out', 'timeout', 'Timed out'],
  ['error', 'it said "no"\n\tGrüße', 'error', 'it said "no"\n\tGrüße'],
  ['error', null, 'error', null],
  ['odd', '', 'error', ''],
])('takes a line that ended with %s and the error %j', async (before, error, status, detail) => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1')]);
    fill(db, 'task_run_logs', [runLog(1, 't-1', { status: before, error })]);
  });
  const body = detail === null ? null : new Problem('agent_failed', detail).toBody();
  expect(await lines(store, 't-1')).toMatchObject([{ status, error: body }]);
});

it('runs the tasks of 1.x, and lists their lines before the new ones', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1')]);
    fill(db, 'task_run_logs', [runLog(1, 't-1'), runLog(2, 't-1', { run_at: '2024-12-31T09:00:00.000Z' })]);
  });
  const [due] = await listDue(store, '2025-02-01T09:00:00.000Z');
  if (due === undefined) throw new Error('the task is not due');
  const { run } = await runOnce(store, due);
  expect((await lines(store, 't-1')).map(({ id }) => id)).toEqual([run.id, '1', '2']);
});

it.each([
  ['interval', '60000.0', '60000'],
  ['interval', '7.0', '7'],
  ['interval', '60000', '60000'],
  ['interval', '60000.5', '60000.5'],
  ['interval', '1e5', '1e5'],
  ['interval', '10.00.0', '10.00.0'],
  ['interval', '.0', '.0'],
  ['cron', '7.0', '7.0'],
  ['once', '2025-03-01T09:00', '2025-03-01T09:00'],
])('reads the %s %s as %s', async (scheduleType, before, scheduleValue) => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1', { schedule_type: scheduleType, schedule_value: before })]);
  });
  expect(await store.getTask('t-1')).toMatchObject({ scheduleType, scheduleValue, status: 'active' });
});

it('keeps a task that never came due, paused, and says why', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [
      task('t-1', 'c-1', { schedule_type: 'weekly', schedule_value: 'monday' }),
      task('t-2', 'c-1', { schedule_type: 'weekly', status: 'completed' }),
      task('t-3', 'c-1', { next_run: null }),
      task('t-4', 'c-1', { next_run: null, status: 'completed', last_result: 'done' }),
    ]);
  });
  const kept = { scheduleType: 'cron', scheduleValue: 'monday', status: 'paused' };
  const why = "Error: 1.x had it with the schedule type 'weekly', which never comes due; give it a schedule";
  expect(await store.getTask('t-1')).toMatchObject({ ...kept, lastResult: why });
  expect(await store.getTask('t-2')).toMatchObject({ status: 'completed' });
  expect(await store.getTask('t-3')).toMatchObject({
    status: 'paused',
    lastResult: expect.stringMatching(/^Error: 1\.x had it without a next run/),
  });
  expect(await store.getTask('t-4')).toMatchObject({ status: 'completed', lastResult: 'done' });
  expect(await listDue(store, '2099-01-01T00:00:00.000Z')).toEqual([]);
});

it('lists tasks by their creation, newest first', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'scheduled_tasks', [
      task('newest', 'c-1', { created_at: '2025-03-01T00:00:00.000Z' }),
      task('oldest', 'c-1', { created_at: '2025-01-01 00:00:00' }),
      task('middle', 'c-1', { created_at: '2025-02-01T00:00:00.000Z' }),
    ]);
  });
  const page = await store.listTasks({ limit: 10, cursor: null });
  expect(page.items.map(({ id }) => id)).toEqual(['newest', 'middle', 'oldest']);
});

it('delivers what 1.x had not delivered, and nothing twice', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'outbound_messages', [outbound(1, 'c-1', { delivered: 1 }), outbound(2, 'c-1'), outbound(3, 'c-1')]);
  });
  const accepted = await accept(store, { conversationId: 'c-1' });
  expect(await store.settleRun(settleInput(accepted))).toMatchObject({ outbound: [{ id: '2' }, { id: '3' }] });
});

it('goes on: the session is kept, counts all of its history as seen, and is named when the conversation is deleted', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'messages', [message('m-1', 'c-1'), message('m-2', 'c-1')]);
  });
  const accepted = await accept(store, { conversationId: 'c-1' });
  expect(accepted.unseen).toEqual([]);
  expect(accepted.conversation).toMatchObject({ sessionId: 'session-of-c-1', messageCount: 3 });
  await store.settleRun(settleInput(accepted, { sessionId: 'session-new' }));
  expect(await store.deleteConversation('c-1')).toEqual({
    kind: 'deleted',
    sessionIds: expect.arrayContaining(['session-of-c-1', 'session-new']),
  });
});

it('gives a conversation without a session a new one, which is gone again when the run is withdrawn', async () => {
  const { store } = await takeOver((db) => fill(db, 'conversations', [conversation('c-1', { session_id: null })]));
  const before = await store.getConversation('c-1');
  const accepted = await accept(store, { conversationId: 'c-1', newSessionId: 'session-new' });
  expect(accepted.conversation.sessionId).toBe('session-new');
  await store.withdrawRun(accepted.run.id, accepted.run.fencingToken);
  expect(await store.getConversation('c-1')).toEqual(before);
  expect(await store.deleteConversation('c-1')).toEqual({ kind: 'deleted', sessionIds: [] });
});

it('frees a conversation that a killed server left running', async () => {
  const { store } = await takeOver((db) => fill(db, 'conversations', [conversation('c-1', { status: 'running' })]));
  expect(await store.getConversation('c-1')).toMatchObject({ status: 'idle' });
  expect(await store.acceptRun(acceptInput({ conversationId: 'c-1' }))).toMatchObject({ kind: 'accepted' });
});

it('keeps the order of messages: by time, then as they were written', async () => {
  const { store } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'messages', [
      message('late', 'c-1', { created_at: '2025-01-01 00:00:02' }),
      message('first', 'c-1', { created_at: '2025-01-01T00:00:01.000Z' }),
      message('second', 'c-1', { created_at: '2025-01-01 00:00:01' }),
    ]);
  });
  expect(await contents(store, 'c-1')).toEqual(['content of first', 'content of second', 'content of late']);
});

it('lists conversations by their creation, newest first', async () => {
  const { store } = await takeOver((db) =>
    fill(db, 'conversations', [
      conversation('newest', { created_at: '2025-03-01T00:00:00.000Z' }),
      conversation('oldest', { created_at: '2025-01-01 00:00:00' }),
      conversation('middle', { created_at: '2025-02-01T00:00:00.000Z' }),
    ]),
  );
  const page = await store.listConversations({ limit: 10, cursor: null });
  expect(page.items.map(({ id }) => id)).toEqual(['newest', 'middle', 'oldest']);
});

it.each([
  ['2025-01-31 23:59:59', '2025-01-31T23:59:59.000Z'],
  ['2025-01-31T23:59:59Z', '2025-01-31T23:59:59.000Z'],
  ['2025-01-31T23:59:59.123Z', '2025-01-31T23:59:59.123Z'],
  ['2025-02-01T07:59:59+08:00', '2025-01-31T23:59:59.000Z'],
])('writes the time %s as %s', async (before, after) => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1', { created_at: before, last_activity: before })]);
    fill(db, 'messages', [message('m-1', 'c-1', { created_at: before })]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-1', { next_run: before, last_run: before, created_at: before })]);
  });
  expect(await store.getConversation('c-1')).toMatchObject({ createdAt: after, lastActivity: after });
  expect(await store.listMessages('c-1', { limit: 1, cursor: null })).toMatchObject({ items: [{ createdAt: after }] });
  expect(rows('scheduled_tasks')).toMatchObject([{ next_run: after, last_run: after, created_at: after }]);
});

it('keeps rows whose conversation or task is gone', async () => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'messages', [
      message('m-2', 'c-lost', { created_at: '2025-01-01 00:00:02' }),
      message('m-1', 'c-lost', { created_at: '2025-01-01 00:00:01' }),
    ]);
    fill(db, 'outbound_messages', [outbound(1, 'c-lost-outbound')]);
    fill(db, 'scheduled_tasks', [task('t-1', 'c-lost-task')]);
    fill(db, 'task_run_logs', [runLog(1, 't-lost')]);
  });
  expect(await store.getConversation('c-lost')).toEqual({
    id: 'c-lost',
    sessionId: null,
    createdAt: '2025-01-01T00:00:01.000Z',
    lastActivity: '2025-01-01T00:00:02.000Z',
    messageCount: 2,
    status: 'idle',
  });
  expect(await contents(store, 'c-lost')).toEqual(['content of m-1', 'content of m-2']);
  expect(await store.counts()).toEqual({ conversations: 3, tasks: 1 });
  expect(rows('outbound_messages')).toMatchObject([{ conversation_id: 'c-lost-outbound', delivered_at: null }]);
  expect(rows('runs')).toMatchObject([{ id: '1', task_id: 't-lost', owner: '1.x' }]);
});

it('keeps rows that the rules of the new tables would refuse', async () => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1', { status: 'odd' })]);
    fill(db, 'messages', [message('m-1', 'c-1', { role: 'system' })]);
    fill(db, 'scheduled_tasks', [task(null, 'c-1', { status: 'odd', context_mode: 'Group' })]);
    fill(db, 'task_run_logs', [runLog(1, 'task-v1-1', { run_at: 'yesterday', duration_ms: 12.5 })]);
    fill(db, 'task_run_logs', [runLog(2, 'task-v1-1', { duration_ms: 12.5 })]);
  });
  expect(await contents(store, 'c-1')).toEqual(['content of m-1']);
  expect(rows('scheduled_tasks')).toMatchObject([{ id: 'task-v1-1', status: 'paused', context_mode: 'isolated' }]);
  expect(await lines(store, 'task-v1-1')).toMatchObject([
    { startedAt: 'yesterday', endedAt: 'yesterday', durationMs: null },
    { startedAt: '2025-01-01T09:00:00.000Z', endedAt: '2025-01-01T09:00:00.012Z', durationMs: 12 },
  ]);
});

it('gives a conversation and a task whose id no path can have another one, so that they can be asked for and deleted', async () => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation(''), conversation('.'), conversation('..'), conversation('...')]);
    fill(db, 'messages', [message('m-1', ''), message('m-2', '.'), message('m-3', '..')]);
    fill(db, 'outbound_messages', [outbound(1, '')]);
    fill(
      db,
      'scheduled_tasks',
      ['', '.', '..', 'check', 'trigger', 'checks'].map((id) => task(id, '..')),
    );
    fill(db, 'task_run_logs', [runLog(1, 'check'), runLog(2, '')]);
  });
  const conversations = ['conv-v1-empty', 'conv-v1-dot', 'conv-v1-dots'];
  expect(rows('conversations').map(({ id }) => id)).toEqual([...conversations, '...']);
  expect(await Promise.all(conversations.map((id) => contents(store, id)))).toEqual([
    ['content of m-1'],
    ['content of m-2'],
    ['content of m-3'],
  ]);
  expect(rows('outbound_messages')).toMatchObject([{ conversation_id: 'conv-v1-empty' }]);
  const tasks = ['empty', 'dot', 'dots', 'check', 'trigger'].map((name) => `task-v1-${name}`);
  expect(rows('scheduled_tasks').map(({ id }) => id)).toEqual([...tasks, 'checks']);
  expect(rows('scheduled_tasks')[0]).toMatchObject({ conversation_id: 'conv-v1-dots' });
  expect(await lines(store, 'task-v1-check')).toHaveLength(1);
  expect(await lines(store, 'task-v1-empty')).toHaveLength(1);
});

it('takes texts for ids of outbound messages and run logs', async () => {
  const { rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'outbound_messages', [outbound('out-b', 'c-1'), outbound('out-a', 'c-1')]);
    fill(db, 'task_run_logs', [runLog('log-a', 't')]);
  }, 'TEXT');
  expect(rows('outbound_messages')).toMatchObject([{ id: 'out-b' }, { id: 'out-a' }]);
  expect(rows('runs')).toMatchObject([{ id: 'log-a' }]);
});

it('happens once: opened again, the database is what it was', async () => {
  const { store, path } = await takeOver((db) => fill(db, 'conversations', [conversation('c-1')]));
  const before = await store.getConversation('c-1');
  await store.close();
  const again = await createSqliteStore({ path });
  expect(await again.getConversation('c-1')).toEqual(before);
  await again.close();
});

it('happens whole or not at all', async () => {
  const path = join(temporaryFolder(), 'messages.db');
  const db = createVersion1(path);
  fill(db, 'conversations', [conversation('c-1')]);
  // A column that the copy needs is missing, which it finds out only after other tables are copied.
  db.exec('alter table task_run_logs drop column run_at');
  const before = db.prepare('select name, sql from sqlite_schema order by name').all();
  await expect(createSqliteStore({ path })).rejects.toThrow(/run_at/);
  expect(db.prepare('select name, sql from sqlite_schema order by name').all()).toEqual(before);
  expect(db.prepare('select id from conversations').all()).toMatchObject([{ id: 'c-1' }]);
  db.close();
});

it('leaves no room of the old tables in the file', async () => {
  const { store, path } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    for (let i = 0; i < 200; i++) fill(db, 'messages', [message(`m-${i}`, 'c-1', { content: 'x'.repeat(5_000) })]);
  });
  await store.close();
  const db = new DatabaseSync(path);
  const free = Number(db.prepare('PRAGMA freelist_count').get()?.freelist_count);
  const pages = Number(db.prepare('PRAGMA page_count').get()?.page_count);
  db.close();
  expect(free).toBeLessThan(pages / 10);
});

it('is refused for a database of a newer version, which stays as it is', async () => {
  const path = join(temporaryFolder(), 'messages.db');
  await (await createSqliteStore({ path })).close();
  const db = new DatabaseSync(path);
  db.exec(`insert into kysely_migration (name, timestamp) values ('9999_future', '2099-01-01T00:00:00.000Z')`);
  await expect(createSqliteStore({ path })).rejects.toThrow(/newer version of PicoClaw.*9999_future/);
  expect(db.prepare('select name from kysely_migration').all()).toContainEqual({ name: '9999_future' });
  db.close();
});

async function takeOver(build: (db: DatabaseSync) => void, idType: 'INTEGER' | 'TEXT' = 'INTEGER') {
  const path = join(temporaryFolder(), 'messages.db');
  const old = createVersion1(path, idType);
  build(old);
  old.close();
  const store: Store = await createSqliteStore({ path });
  const direct = new DatabaseSync(path, { readOnly: true });
  onTestFinished(async () => {
    direct.close();
    await store.close();
  });
  const rows = (table: string) =>
    direct
      .prepare(`select * from ${table}`)
      .all()
      .map((row) => ({ ...row }));
  return { store, path, rows };
}

async function lines(store: Store, taskId: string): Promise<TaskRun[]> {
  const page = await store.listTaskRuns(taskId, { limit: 100, cursor: null });
  return page?.items ?? [];
}
