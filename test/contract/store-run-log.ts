/** The run log of a task, and what is pruned of it and of outbound messages. */

import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import type { Task } from '../../src/domain/task.ts';
import type { Store } from '../../src/store/store.ts';
import {
  accept,
  addTask,
  type Claimed,
  claim,
  exchange,
  firstSlot,
  runOnce,
  settleInput,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore, StoreUnderTest } from './store-contract.ts';

export function storeRunLog(open: OpenStore): void {
  describe('the run log of a task', () => {
    it('has a line for each run, newest first, page by page', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const other = await addTask(store);
      const runs: string[] = [];
      for (let i = 0; i < 5; i++) runs.unshift((await runOnce(store, task, { slot: null })).run.id);
      await runOnce(store, other);
      const first = await store.listTaskRuns(task.id, { limit: 3, cursor: null });
      const second = await store.listTaskRuns(task.id, { limit: 3, cursor: first?.nextCursor ?? null });
      expect([...(first?.items ?? []), ...(second?.items ?? [])].map(({ id }) => id)).toEqual(runs);
      expect(second?.nextCursor).toBeNull();
    });

    it('says of each run what it was for, how it ended and what it said and sent', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task, { at: '2030-06-01T00:00:00.000Z' });
      const { id } = claimed.run;
      const sent = { text: 'ding', sender: 'Pico', at: '2030-06-01T00:00:01.000Z' };
      await store.addOutbound({ id: 'out-1', from: { runId: id }, ...sent });
      const usage = { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 };
      const error = new Problem('model_overloaded', 'busy').toBody();
      const result = 'x'.repeat(5_000);
      const end = { status: 'error', error, usage, costUsd: 0.5, numTurns: 2, at: '2030-06-01T00:00:02.500Z' } as const;
      await store.settleRun(settleTaskInput(claimed, { ...end, task: { result, lastResult: 'x', after: null } }));
      const line = {
        id,
        taskId: task.id,
        source: 'task_check',
        conversationId: null,
        status: 'error',
        slot: firstSlot,
        attempt: 1,
        startedAt: '2030-06-01T00:00:00.000Z',
        endedAt: end.at,
        durationMs: 2500,
        result,
        error,
        model: 'claude-test',
        usage,
        costUsd: 0.5,
        numTurns: 2,
        outboundMessages: [{ id: 'out-1', conversationId: null, text: 'ding', sender: 'Pico', createdAt: sent.at }],
      };
      expect(await store.listTaskRuns(task.id, { limit: 1, cursor: null })).toMatchObject({ items: [line] });
    });

    it('shows a run under way, a trigger and the place of a group run', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      await claim(store, task, { slot: null });
      const open_ = { status: 'running', endedAt: null, durationMs: null, result: null };
      const line = { source: 'task_trigger', slot: null, attempt: 1, conversationId: 'conv-1', ...open_ };
      expect(await store.listTaskRuns(task.id, { limit: 1, cursor: null })).toMatchObject({ items: [line] });
    });

    it('says of a run that was cut off when that was found, and not how long it took', async () => {
      const { store } = await open();
      const task = await addTask(store);
      await claim(store, task);
      const at = tick();
      await store.recoverRuns({ owner: 'instance-2', at });
      const line = { status: 'interrupted', endedAt: at, durationMs: null, result: null };
      expect(await store.listTaskRuns(task.id, { limit: 1, cursor: null })).toMatchObject({ items: [line] });
    });

    it('has none of the lines that PicoClaw 1.x left of a task that was deleted', async () => {
      const { store, query } = await open();
      await leaveLine(query, 'task-1');
      const task = await addTask(store, { id: 'task-1' });
      expect(await lineIds(store, task)).toEqual([]);
      expect(await store.getRun('log-of-task-1')).toBeNull();
    });

    it('is empty before the first run, and missing without a task', async () => {
      const { store } = await open();
      const { id } = await addTask(store);
      expect(await store.listTaskRuns(id, { limit: 1, cursor: null })).toEqual({ items: [], nextCursor: null });
      expect(await store.listTaskRuns('task-none', { limit: 1, cursor: null })).toBeNull();
    });
  });

  describe('a run whose task was deleted meanwhile', () => {
    const ends: [string, (store: Store, claimed: Claimed) => Promise<unknown>][] = [
      ['settled', (store, claimed) => store.settleRun(settleTaskInput(claimed))],
      ['recovered', (store) => store.recoverRuns({ owner: 'instance-2', at: tick() })],
    ];

    it.each(ends)('is gone once it is %s, if it was isolated; its session is on record', async (_how, end) => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      await store.deleteTask(task.id);
      const anew = await addTask(store, { id: task.id });
      await end(store, claimed);
      expect(await lineIds(store, anew)).toEqual([]);
      expect(await store.getRun(claimed.run.id)).toBeNull();
      expect(await store.listUnforgotten()).toMatchObject([{ id: claimed.run.id, kind: 'run' }]);
      await runOnce(store, anew);
      expect(await lineIds(store, anew)).toHaveLength(1);
    });

    it.each(ends)('belongs to its conversation alone once it is %s, if it was there', async (how, end) => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      const claimed = await claim(store, task);
      await store.deleteTask(task.id);
      const anew = await addTask(store, { id: task.id, contextMode: 'group', conversationId: 'conv-1' });
      await end(store, claimed);
      expect(await lineIds(store, anew)).toEqual([]);
      const status = how === 'settled' ? 'success' : 'interrupted';
      expect(await store.getRun(claimed.run.id)).toMatchObject({ status, conversationId: 'conv-1' });
      expect(await store.getConversation('conv-1')).toMatchObject({ status: 'idle' });
    });

    it('answers with what it sent all the same', async () => {
      const { store } = await open();
      for (const input of [{}, { contextMode: 'group', conversationId: 'conv-1' }] as const) {
        const task = await addTask(store, input);
        const claimed = await claim(store, task);
        const id = `out-${task.id}`;
        await store.addOutbound({ id, from: { runId: claimed.run.id }, text: 'ding', sender: null, at: tick() });
        await store.deleteTask(task.id);
        const outcome = await store.settleRun(settleTaskInput(claimed));
        const run = { id: claimed.run.id, status: 'success' };
        expect(outcome).toMatchObject({ kind: 'settled', run, outbound: [{ id }] });
      }
    });
  });

  describe('pruning', () => {
    it('keeps the newest lines of each run log, whatever the others hold', async () => {
      const { store } = await open();
      const [busy, quiet] = [await addTask(store), await addTask(store)];
      const lines: string[] = [];
      await runOnce(store, quiet, { slot: null });
      for (let i = 0; i < 5; i++) lines.unshift((await runOnce(store, busy, { slot: null })).run.id);
      const chat = await exchange(store);
      expect(await store.prune({ taskRunsKept: 2, outboundBefore: firstSlot })).toEqual({ runs: 3, outbound: 0 });
      expect(await lineIds(store, busy)).toEqual(lines.slice(0, 2));
      expect(await lineIds(store, quiet)).toHaveLength(1);
      expect(await store.getRun(chat.run.id)).not.toBeNull();
      expect(await store.prune({ taskRunsKept: 2, outboundBefore: firstSlot })).toEqual({ runs: 0, outbound: 0 });
    });

    it('never removes a run under way, or the messages of one that it removes', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      await runOnce(store, task, { slot: null });
      const { run } = await claim(store, task);
      expect(await store.prune({ taskRunsKept: 0, outboundBefore: firstSlot })).toEqual({ runs: 1, outbound: 0 });
      expect(await store.getRun(run.id)).toMatchObject({ status: 'running' });
      expect(await store.getConversation('conv-1')).toMatchObject({ status: 'running', messageCount: 3 });
    });

    it('removes lines of PicoClaw 1.x whose task is gone, and no run under way', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      const { run } = await claim(store, task);
      await store.deleteTask(task.id);
      await leaveLine(query, 'task-gone');
      expect(await store.prune({ taskRunsKept: 9, outboundBefore: firstSlot })).toEqual({ runs: 1, outbound: 0 });
      expect(await store.getRun('log-of-task-gone')).toBeNull();
      expect(await store.getRun(run.id)).toMatchObject({ status: 'running' });
    });

    it('removes outbound messages that are too old, delivered or not', async () => {
      const { store } = await open();
      const { conversation, ...chat } = await accept(store);
      const from = { conversationId: conversation.id };
      const send = (id: string, at: string) => store.addOutbound({ id, from, text: id, sender: null, at });
      await send('delivered', '2030-05-01T00:00:00.000Z');
      await store.settleRun(settleInput(chat));
      await send('old', '2030-05-31T23:59:59.999Z');
      await send('new', '2030-06-01T00:00:00.000Z');
      const input = { taskRunsKept: 0, outboundBefore: '2030-06-01T00:00:00.000Z' };
      expect(await store.prune(input)).toEqual({ runs: 0, outbound: 2 });
      const next = await accept(store, from);
      expect(await store.settleRun(settleInput(next))).toMatchObject({ outbound: [{ id: 'new' }] });
    });
  });
}

/** As the migration takes it over; no method writes such a row. */
async function leaveLine(query: StoreUnderTest['query'], taskId: string): Promise<void> {
  query(
    `insert into runs (id, source, status, fencing_token, owner, input_tokens, output_tokens, cache_read_input_tokens,
       cache_creation_input_tokens, cost_usd, num_turns, started_at, ended_at, task_id, attempt)
     values (?, 'task_check', 'success', 0, '1.x', 0, 0, 0, 0, 0, 0, ?, ?, ?, 1)`,
    `log-of-${taskId}`,
    firstSlot,
    firstSlot,
    taskId,
  );
}

async function lineIds(store: Store, task: Task): Promise<string[]> {
  const page = await store.listTaskRuns(task.id, { limit: 100, cursor: null });
  return page?.items.map(({ id }) => id) ?? [];
}
