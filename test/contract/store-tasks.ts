/** Tasks: made, changed, listed and deleted. */

import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import type { Task } from '../../src/domain/task.ts';
import { InvalidCursor, type Store } from '../../src/store/store.ts';
import {
  accept,
  addTask,
  claim,
  claimInput,
  exchange,
  firstSlot,
  runOnce,
  secondSlot,
  settleTaskInput,
  taskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

export function storeTasks(open: OpenStore): void {
  describe('a task', () => {
    it('is kept as it was made, every field of it', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const task: Task = {
        id: 'task-1',
        conversationId: conversation.id,
        prompt: 'Grüße 👩‍🚀\r\n',
        scheduleType: 'cron',
        scheduleValue: '0 9 * * *',
        contextMode: 'group',
        timezone: 'Europe/Zurich',
        nextRun: secondSlot,
        lastRun: firstSlot,
        lastResult: 'done',
        lastStatus: 'timeout',
        status: 'paused',
        createdAt: tick(),
        model: 'claude-test',
        maxExecutionMs: 5000,
        maxAttempts: 7,
        attempts: 2,
      };
      expect(await store.insertTask({ task, createConversation: false, at: tick() })).toEqual({
        kind: 'inserted',
        task,
        madeConversation: false,
      });
      expect(await store.getTask('task-1')).toEqual(task);
      expect(await store.getTask('task-2')).toBeNull();
    });

    it('is made once: an id that is taken is refused, also to one of twenty at once', async () => {
      const { store } = await open();
      const tasks = Array.from({ length: 20 }, () => taskInput({ id: 'task-1', conversationId: 'conv-1' }));
      const insert = (task: Task) => store.insertTask({ task, createConversation: true, at: tick() });
      const outcomes = await Promise.all(tasks.map(insert));
      expect(outcomes.map(({ kind }) => kind)).toEqual(['inserted', ...Array(19).fill('exists')]);
      expect(await store.getTask('task-1')).toEqual(tasks[0]);
      expect(await store.counts()).toEqual({ conversations: 1, tasks: 1 });
    });

    it('is refused in a conversation that is not there, unless that is to be made', async () => {
      const { store } = await open();
      const task = taskInput({ contextMode: 'group', conversationId: 'conv-new' });
      const refused = await store.insertTask({ task, createConversation: false, at: tick() });
      expect(refused).toEqual({ kind: 'conversation_not_found' });
      expect(await store.counts()).toEqual({ conversations: 0, tasks: 0 });

      const at = tick();
      expect(await store.insertTask({ task, createConversation: true, at })).toEqual({
        kind: 'inserted',
        task,
        madeConversation: true,
      });
      const made = { createdAt: at, lastActivity: at, sessionId: null, messageCount: 0, status: 'idle' };
      expect(await store.getConversation('conv-new')).toEqual({ id: 'conv-new', ...made });
      expect(await accept(store, { conversationId: 'conv-new' })).toMatchObject({ unseen: [] });
    });

    it('refuses the id of a task that exists before it makes a conversation', async () => {
      const { store } = await open();
      const { id } = await addTask(store);
      const task = taskInput({ id, contextMode: 'group', conversationId: 'conv-new' });
      expect(await store.insertTask({ task, createConversation: true, at: tick() })).toEqual({ kind: 'exists' });
      expect(await store.getConversation('conv-new')).toBeNull();
    });
  });

  describe('withdrawing a task', () => {
    const insertNew = async (store: Store, input: Partial<Task>) => {
      const outcome = await store.insertTask({ task: taskInput(input), createConversation: true, at: tick() });
      if (outcome.kind !== 'inserted') throw new Error(outcome.kind);
      return { id: outcome.task.id, madeConversation: outcome.madeConversation };
    };
    const place = { contextMode: 'group', conversationId: 'conv-new' } as const;

    it('leaves nothing of it, nor of the conversation that was made for it', async () => {
      const { store, query } = await open();
      await store.withdrawTask(await insertNew(store, place));
      expect(await store.counts()).toEqual({ conversations: 0, tasks: 0 });
      await store.withdrawTask(await insertNew(store, {}));
      await store.withdrawTask({ id: 'task-none', madeConversation: true });
      expect(query('select id from scheduled_tasks')).toEqual([]);
    });

    it('leaves a conversation that was there before, though it is empty', async () => {
      const { store } = await open();
      const first = await insertNew(store, place);
      const second = await insertNew(store, place);
      expect(second.madeConversation).toBe(false);
      await store.deleteTask(first.id);
      await store.withdrawTask(second);
      expect(await store.counts()).toEqual({ conversations: 1, tasks: 0 });
    });

    it.each<[string, (store: Store, id: string) => Promise<unknown>]>([
      ['messages', (store) => exchange(store, { conversationId: 'conv-new' })],
      ['a run', async (store, id) => claim(store, { id, nextRun: firstSlot })],
      ['another task', (store) => addTask(store, { conversationId: 'conv-new' })],
      [
        'a message that waits for delivery',
        (store) =>
          store.addOutbound({ id: 'out-1', from: { conversationId: 'conv-new' }, text: 't', sender: null, at: tick() }),
      ],
    ])('leaves the conversation that was made for it when %s came into it', async (_what, come) => {
      const { store } = await open();
      const made = await insertNew(store, place);
      await come(store, made.id);
      await store.withdrawTask(made);
      expect(await store.getTask(made.id)).toBeNull();
      expect(await store.getConversation('conv-new')).not.toBeNull();
    });
  });

  describe('changing a task', () => {
    it('writes what may change, and neither what runs wrote nor what it is', async () => {
      const { store } = await open();
      const task = await addTask(store, { lastRun: firstSlot, lastResult: 'done', lastStatus: 'success' });
      await exchange(store);
      const { conversation } = await exchange(store);
      const changes = {
        conversationId: conversation.id,
        prompt: 'other',
        scheduleType: 'cron',
        scheduleValue: '@daily',
        contextMode: 'group',
        timezone: 'UTC',
        nextRun: secondSlot,
        status: 'paused',
        model: 'claude-other',
        maxExecutionMs: 1000,
        maxAttempts: 1,
        attempts: 1,
      } as const;
      const own = { id: 'task-other', createdAt: tick(), lastRun: null, lastResult: null, lastStatus: null };
      const change = (before: Task): Task => ({ ...before, ...changes, ...own });
      const updated = await store.updateTask({ id: task.id, change, at: tick() });
      expect(updated).toEqual({ kind: 'updated', task: { ...task, ...changes } });
      expect(await store.getTask(task.id)).toEqual({ ...task, ...changes });
    });

    it('leaves the claim of a run under way', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      await store.updateTask({ id: task.id, change: (now) => ({ ...now, prompt: 'other' }), at: tick() });
      expect(await store.claimTask(claimInput(task))).toEqual({ kind: 'task_busy' });
      await store.settleRun(settleTaskInput(claimed));
      expect(await store.getTask(task.id)).toMatchObject({ prompt: 'other', lastStatus: 'success' });
    });

    it('at the same time as others loses no change', async () => {
      const { store } = await open();
      const { id } = await addTask(store, { prompt: '' });
      const add = (letter: string) => (now: Task) => ({ ...now, prompt: now.prompt + letter });
      const letters = [...'abcdefghij'];
      await Promise.all(letters.map((letter) => store.updateTask({ id, change: add(letter), at: tick() })));
      expect([...((await store.getTask(id))?.prompt ?? '')].sort()).toEqual(letters);
    });

    it('is undone by what the change throws, which the caller gets', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const fault = new Problem('invalid_request', 'no');
      const change = () => {
        throw fault;
      };
      await expect(store.updateTask({ id: task.id, change, at: tick() })).rejects.toBe(fault);
      expect(await store.getTask(task.id)).toEqual(task);
    });

    it('does not know a task that is not there', async () => {
      const { store } = await open();
      const change = () => expect.unreachable();
      expect(await store.updateTask({ id: 'task-none', change, at: tick() })).toEqual({ kind: 'not_found' });
    });

    it('makes the conversation of a group task, and refuses an isolated one in a conversation that is not there', async () => {
      const { store } = await open();
      const { id } = await addTask(store);
      const at = tick();
      const move = (contextMode: Task['contextMode'], conversationId: string) =>
        store.updateTask({ id, at, change: (now) => ({ ...now, contextMode, conversationId, prompt: 'moved' }) });
      const before = await store.getTask(id);
      const refused = { kind: 'conversation_not_found', conversationId: 'conv-new' };
      expect(await move('isolated', 'conv-new')).toEqual(refused);
      expect(await store.getTask(id)).toEqual(before);
      expect(await store.getConversation('conv-new')).toBeNull();

      expect(await move('group', 'conv-new')).toMatchObject({ kind: 'updated', task: { conversationId: 'conv-new' } });
      expect(await store.getConversation('conv-new')).toMatchObject({ createdAt: at, status: 'idle' });
    });
  });

  describe('the list of tasks', () => {
    it('is newest first, each once, while others are made and deleted between the pages', async () => {
      const { store } = await open();
      const ids: string[] = [];
      for (let i = 0; i < 7; i++) ids.unshift((await addTask(store)).id);
      const seen: string[] = [];
      for (let cursor: string | null | undefined = null; cursor !== undefined; ) {
        const page = await store.listTasks({ limit: 3, cursor });
        seen.push(...page.items.map(({ id }) => id));
        await addTask(store);
        if (seen.length === 3) await store.deleteTask(seen[2] ?? '');
        cursor = page.nextCursor ?? undefined;
      }
      expect(seen).toEqual(ids);
    });

    it('refuses the cursor of another list', async () => {
      const { store } = await open();
      const task = await addTask(store);
      await addTask(store);
      const { nextCursor: cursor } = await store.listTasks({ limit: 1, cursor: null });
      expect(cursor).not.toBeNull();
      await expect(store.listConversations({ limit: 1, cursor })).rejects.toThrow(InvalidCursor);
      await expect(store.listTaskRuns(task.id, { limit: 1, cursor })).rejects.toThrow(InvalidCursor);
    });
  });

  describe('deleting a task', () => {
    it('takes its run log along, lets a run under way go on, and leaves other tasks', async () => {
      const { store } = await open();
      const [task, other] = [await addTask(store), await addTask(store)];
      const over = await runOnce(store, task);
      const kept = await runOnce(store, other);
      const running = await claim(store, { id: task.id, nextRun: secondSlot });
      expect(await store.deleteTask(task.id)).toBe(true);
      expect(await store.deleteTask(task.id)).toBe(false);
      expect(await store.getTask(task.id)).toBeNull();
      expect(await store.listTaskRuns(task.id, { limit: 10, cursor: null })).toBeNull();
      expect(await store.getRun(over.run.id)).toBeNull();
      expect(await store.getRun(running.run.id)).toMatchObject({ status: 'running' });
      expect(await store.getRun(kept.run.id)).not.toBeNull();
      expect(await store.settleRun(settleTaskInput(running))).toMatchObject({ kind: 'settled' });
    });

    it('leaves the messages of its runs in their conversation', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      await runOnce(store, task);
      await store.deleteTask(task.id);
      expect(await store.getConversation('conv-1')).toMatchObject({ messageCount: 2, status: 'idle' });
    });
  });
}
