/** A database of PicoClaw 1.x becomes one of this version in place, and nothing of it is lost. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it, onTestFinished } from 'vitest';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { accept, acceptInput, contents, settleInput } from '../support/store-inputs.ts';
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
  expect(rows('scheduled_tasks')).toEqual([
    task('t-1', 'c-1'),
    task('t-2', 'c-2', { status: 'paused', context_mode: 'isolated' }),
  ]);
  expect(rows('task_run_logs')).toMatchObject([
    runLog('1', 't-1'),
    runLog('2', 't-1', { status: 'error', result: null, error: 'no' }),
  ]);
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
  expect(rows('task_run_logs')).toMatchObject([{ task_id: 't-lost' }]);
});

it('keeps rows that the rules of the new tables would refuse', async () => {
  const { store, rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1', { status: 'odd' })]);
    fill(db, 'messages', [message('m-1', 'c-1', { role: 'system' })]);
    fill(db, 'scheduled_tasks', [task(null, 'c-1', { status: 'odd', context_mode: 'Group' })]);
    fill(db, 'task_run_logs', [runLog(1, 't', { duration_ms: 12.5 })]);
  });
  expect(await contents(store, 'c-1')).toEqual(['content of m-1']);
  expect(rows('scheduled_tasks')).toMatchObject([{ id: 'task-v1-1', status: 'paused', context_mode: 'isolated' }]);
  expect(rows('task_run_logs')).toMatchObject([{ duration_ms: 12 }]);
});

it('takes texts for ids of outbound messages and run logs', async () => {
  const { rows } = await takeOver((db) => {
    fill(db, 'conversations', [conversation('c-1')]);
    fill(db, 'outbound_messages', [outbound('out-b', 'c-1'), outbound('out-a', 'c-1')]);
    fill(db, 'task_run_logs', [runLog('log-a', 't')]);
  }, 'TEXT');
  expect(rows('outbound_messages')).toMatchObject([{ id: 'out-b' }, { id: 'out-a' }]);
  expect(rows('task_run_logs')).toMatchObject([{ id: 'log-a' }]);
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
  expect(db.prepare('select name from kysely_migration').all()).toHaveLength(2);
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
