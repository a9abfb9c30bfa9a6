/** Which tasks are due, when the next one is, and slots that are given up. */

import { describe, expect, it } from 'vitest';
import type { AfterRun, Task } from '../../src/domain/task.ts';
import type { Store } from '../../src/store/store.ts';
import {
  accept,
  addTask,
  afterLeaseEnd,
  claim,
  exchange,
  firstSlot,
  leaseEnd,
  listDue,
  secondSlot,
  settleInput,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

/** For those that are held up: long after every other time. */
const heldUpUntil = '2098-06-01T00:00:00.000Z';
const nextDue = (store: Store, at: string) => store.nextDueAt({ at, heldUpUntil });

export function storeDue(open: OpenStore): void {
  describe('due tasks', () => {
    it('are the active ones whose time has come, oldest slot first', async () => {
      const { store } = await open();
      const at = (minute: number) => `2029-12-31T00:0${minute}:00.000Z`;
      const later = await addTask(store, { nextRun: at(2) });
      const sooner = await addTask(store, { nextRun: at(1) });
      const alsoLater = await addTask(store, { nextRun: at(2) });
      await addTask(store, { nextRun: at(3) });
      await addTask(store, { nextRun: at(1), status: 'paused' });
      await addTask(store, { nextRun: null, status: 'completed' });
      await claim(store, await addTask(store, { nextRun: at(1) }), { at: at(1) });
      expect(await listDue(store, at(2))).toEqual([sooner, later, alsoLater]);
      expect(await listDue(store, at(0))).toEqual([]);
    });

    it('do not include one that runs although its lease is over', async () => {
      const { store } = await open();
      await claim(store, await addTask(store));
      expect(await listDue(store, afterLeaseEnd)).toEqual([]);
      expect(await store.countDue(afterLeaseEnd)).toBe(0);
    });

    it('are no more than asked for, and others than those that were named', async () => {
      const { store } = await open();
      const tasks: Task[] = [];
      for (let i = 0; i < 5; i++) tasks.push(await addTask(store));
      const except = [tasks[0]?.id ?? '', tasks[2]?.id ?? '', 'task-none'];
      const at = tick();
      expect(await store.dueTasks({ at, limit: 2, except: [] })).toEqual(tasks.slice(0, 2));
      expect(await store.dueTasks({ at, limit: 2, except })).toEqual([tasks[1], tasks[3]]);
      expect(await store.dueTasks({ at, limit: 9, except })).toEqual([tasks[1], tasks[3], tasks[4]]);
    });

    it('leave out those that would run in a busy conversation, but for the count, and hold nobody else up', async () => {
      const { store } = await open();
      const chat = await accept(store);
      const idle = await exchange(store);
      const there = { conversationId: chat.conversation.id, nextRun: firstSlot };
      const waiting = await addTask(store, { ...there, contextMode: 'group' });
      const besides = await addTask(store, { ...there, contextMode: 'isolated' });
      const elsewhere = await addTask(store, {
        contextMode: 'group',
        conversationId: idle.conversation.id,
        nextRun: secondSlot,
      });
      const at = tick();
      expect(await store.dueTasks({ at, limit: 2, except: [] })).toEqual([besides, elsewhere]);
      expect(await store.countDue(at)).toBe(3);
      await store.settleRun(settleInput(chat));
      expect(await store.dueTasks({ at, limit: 2, except: [] })).toEqual([waiting, besides]);
    });

    it('are counted without those that are claimed, paused or due later', async () => {
      const { store } = await open();
      await addTask(store);
      await addTask(store, { status: 'paused' });
      await addTask(store, { nextRun: '2031-01-01T00:00:00.000Z' });
      await claim(store, await addTask(store));
      await claim(store, await addTask(store), { owner: 'instance-2' });
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      expect(await store.countDue(tick())).toBe(1);
      expect(await store.countDue('2031-01-01T00:00:00.000Z')).toBe(2);
      expect(await store.countDue(leaseEnd)).toBe(3);
      expect(await store.countDue('2029-01-01T00:00:00.000Z')).toBe(0);
    });
  });

  describe('the next time to look', () => {
    const now = '2030-06-01T00:00:00.000Z';
    const soon = '2030-06-01T00:01:00.000Z';
    const later = '2030-06-01T00:02:00.000Z';

    it.each<[string, Partial<Task>[], string | null]>([
      ['is never without tasks', [], null],
      ['is never with none that is active', [{ status: 'paused' }, { status: 'completed', nextRun: null }], null],
      ['is the first time of them', [{ nextRun: later }, { nextRun: soon }, { nextRun: soon, status: 'paused' }], soon],
      ['may be past', [{ nextRun: soon }, { nextRun: firstSlot }], firstSlot],
    ])('%s', async (_title, tasks, expected) => {
      const { store } = await open();
      for (const task of tasks) await addTask(store, task);
      expect(await nextDue(store, now)).toBe(expected);
    });

    it.each([
      ['the end of its lease for one that is claimed', { nextRun: firstSlot, leaseExpiresAt: soon }, soon],
      ['its time where that is after its lease', { nextRun: later, leaseExpiresAt: soon }, later],
    ])('is %s', async (_title, { nextRun, leaseExpiresAt }, expected) => {
      const { store } = await open();
      await claim(store, await addTask(store, { nextRun }), { slot: null, leaseExpiresAt });
      expect(await nextDue(store, now)).toBe(expected);
    });

    it('is now for one that was cut off, once its lease is over', async () => {
      const { store } = await open();
      await claim(store, await addTask(store), { leaseExpiresAt: soon });
      await store.recoverRuns({ owner: 'instance-2', at: now });
      expect(await nextDue(store, now)).toBe(soon);
      expect(await nextDue(store, soon)).toBe(firstSlot);
    });

    it('is when others say for one that is due and still runs after its lease', async () => {
      const { store } = await open();
      const claimed = await claim(store, await addTask(store), { leaseExpiresAt: soon });
      expect(await nextDue(store, now)).toBe(soon);
      expect(await nextDue(store, later)).toBe(heldUpUntil);
      await store.settleRun(settleTaskInput(claimed));
      expect(await nextDue(store, later)).toBe(secondSlot);
    });

    it('is the time of one that is triggered, though its run outlives the lease', async () => {
      const { store } = await open();
      const task = await addTask(store, { nextRun: later });
      await claim(store, task, { slot: null, leaseExpiresAt: firstSlot });
      expect(await nextDue(store, now)).toBe(later);
      expect(await nextDue(store, later)).toBe(heldUpUntil);
    });

    it('is when others say for one that is due in a busy conversation, unless another can run before', async () => {
      const { store } = await open();
      const { conversation, ...chat } = await accept(store);
      const place = { conversationId: conversation.id, contextMode: 'group' } as const;
      await addTask(store, place);
      expect(await nextDue(store, now)).toBe(heldUpUntil);
      await addTask(store, { ...place, nextRun: soon });
      expect(await nextDue(store, now)).toBe(soon);
      expect(await nextDue(store, soon)).toBe(heldUpUntil);
      await addTask(store, { conversationId: conversation.id, nextRun: later });
      expect(await nextDue(store, soon)).toBe(later);
      await store.settleRun(settleInput(chat));
      expect(await nextDue(store, soon)).toBe(firstSlot);
    });

    it('is the end of its lease for one that itself keeps its conversation busy', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      await claim(store, task, { leaseExpiresAt: soon });
      expect(await nextDue(store, now)).toBe(soon);
      expect(await nextDue(store, soon)).toBe(heldUpUntil);
    });
  });

  describe('giving up a slot', () => {
    const after: AfterRun = { nextRun: secondSlot, status: 'active', attempts: 0, fault: null };
    const giveUp = (store: Store, taskId: string, input: { at?: string; after?: AfterRun } = {}) =>
      store.giveUpSlot({ taskId, slot: firstSlot, lastResult: 'given up', after, at: tick(), ...input });

    it('moves the task on and says why', async () => {
      const { store } = await open();
      const task = await addTask(store, { attempts: 3, lastStatus: 'success', lastRun: firstSlot });
      expect(await giveUp(store, task.id)).toBe(true);
      const moved = { nextRun: secondSlot, attempts: 0, lastResult: 'given up', lastStatus: 'interrupted' };
      expect(await store.getTask(task.id)).toEqual({ ...task, ...moved });
      expect(await giveUp(store, task.id)).toBe(false);
    });

    it('completes a task that has no further slot', async () => {
      const { store } = await open();
      const { id } = await addTask(store, { attempts: 3 });
      await giveUp(store, id, { after: { nextRun: null, status: 'completed', attempts: 0, fault: null } });
      expect(await store.getTask(id)).toMatchObject({ nextRun: null, status: 'completed' });
    });

    it('waits for the lease of a run that was cut off', async () => {
      const { store } = await open();
      const task = await addTask(store);
      await claim(store, task);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      expect(await giveUp(store, task.id)).toBe(false);
      expect(await giveUp(store, task.id, { at: leaseEnd })).toBe(true);
      expect((await claim(store, { id: task.id, nextRun: secondSlot })).claim.attempt).toBe(1);
    });

    it.each<[string, Partial<Task>]>([
      ['has another slot by now', { nextRun: secondSlot }],
      ['was paused', { status: 'paused' }],
    ])('changes nothing of a task that %s', async (_what, input) => {
      const { store } = await open();
      const task = await addTask(store, input);
      expect(await giveUp(store, task.id)).toBe(false);
      expect(await store.getTask(task.id)).toEqual(task);
    });

    it('changes nothing of a task that runs', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      await claim(store, task);
      const before = query('select * from scheduled_tasks');
      expect(await giveUp(store, task.id, { at: afterLeaseEnd })).toBe(false);
      expect(query('select * from scheduled_tasks')).toEqual(before);
    });
  });
}
