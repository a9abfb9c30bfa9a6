/** What is removed in the background, over the real store. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { expect, it, onTestFinished, vi } from 'vitest';
import { Retention, type RetentionDeps } from '../../src/runs/retention.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function setUp(overrides: Partial<RetentionDeps> = {}) {
  const path = join(temporaryFolder(), 'messages.db');
  const store = await createSqliteStore({ path });
  onTestFinished(() => store.close());
  const log: string[] = [];
  const sync = vi.fn(async () => {});
  const useIfOurs = async (work: () => Promise<void>) => {
    await work();
    return true;
  };
  const retention = new Retention({
    store,
    volume: { sync, useIfOurs },
    clock: { now: () => '2026-06-10T00:00:00.000Z' },
    log: pino({}, { write: (line: string) => void log.push(line) }),
    settings: { taskLogRetention: 100, outboundTtlDays: 7 },
    ...overrides,
  });
  onTestFinished(() => retention.stop());
  return { path, store, retention, log, sync };
}

it('an outbound message is kept for its days, fetched or not, and then removed from the volume too', async () => {
  const { path, store, retention, sync } = await setUp();
  const { conversationId } = await conversation(store);
  const send = (id: string, at: string) =>
    store.addOutbound({ id, from: { conversationId }, text: id, sender: null, at });
  await send('old', '2026-06-02T23:59:59.999Z');
  await send('new', '2026-06-03T00:00:00.000Z');
  await retention.start();
  const db = new DatabaseSync(path, { readOnly: true });
  onTestFinished(() => db.close());
  expect(db.prepare('select id from outbound_messages').all()).toEqual([{ id: 'new' }]);
  expect(sync).toHaveBeenCalledTimes(1);
});

it('where nothing is past its time nothing is written', async () => {
  const { retention, sync } = await setUp();
  await retention.start();
  expect(sync).not.toHaveBeenCalled();
});

it('the run log of a task keeps its lines, and is looked at again soon after a run, once for many', async () => {
  const { path, store, retention, sync } = await setUp({ settings: { taskLogRetention: 2, outboundTtlDays: 7 } });
  await retention.start();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const db = new DatabaseSync(path);
  onTestFinished(() => db.close());
  for (const id of ['one', 'two', 'three', 'four'])
    db.exec(`insert into runs (id, source, status, fencing_token, owner, input_tokens, output_tokens, cache_read_input_tokens,
      cache_creation_input_tokens, cost_usd, num_turns, started_at, ended_at, task_id, attempt)
      values ('${id}', 'task_trigger', 'success', 1, 'here', 0, 0, 0, 0, 0, 1, '2026-06-09', '2026-06-09', 'watch', 1)`);
  db.exec(`insert into scheduled_tasks (id, prompt, schedule_type, schedule_value, context_mode, status, created_at, max_attempts,
    attempts, fencing_token) values ('watch', 'x', 'interval', '60000', 'isolated', 'active', '2026-06-01', 3, 0, 1)`);
  for (let run = 0; run < 4; run += 1) retention.wake();
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1_000);
  await retention.stop();
  expect((await store.listTaskRuns('watch', { limit: 10, cursor: null }))?.items.map(({ id }) => id)).toEqual([
    'four',
    'three',
  ]);
  expect(sync).toHaveBeenCalledTimes(1);
  retention.wake();
  expect(vi.getTimerCount()).toBe(0);
});

it('what cannot be removed is told in the log, and the server goes on', async () => {
  const { store, retention, log } = await setUp();
  await store.close();
  await retention.start();
  expect(log.join()).toContain('could not be removed');
});

async function conversation(store: Awaited<ReturnType<typeof createSqliteStore>>) {
  const accepted = await store.acceptRun({
    runId: 'run-1',
    conversationId: null,
    newConversationId: 'conv-1',
    newSessionId: '8f1c4a52-3a0f-4f6e-9d3e-0d3a4d7f2b11',
    message: { id: 'msg-1', sender: 'user', senderName: 'user', content: 'hello' },
    owner: 'here',
    at: '2026-06-01T00:00:00.000Z',
  });
  if (accepted.kind !== 'accepted') throw new Error(accepted.kind);
  return { conversationId: accepted.ask.conversation.id };
}
