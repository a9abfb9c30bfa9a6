/** Which tasks are due, when the next one is, and slots that are given up. */

import { describe, expect, it } from 'vitest';
import type { AfterRun, Task } from '../../src/domain/task.ts';
import type { Store } from '../../src/store/store.ts';
import {
  addTask,
  afterLeaseEnd,
  claim,
  firstSlot,
  leaseEnd,
  secondSlot,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

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
      expect(await store.dueTasks(at(2))).toEqual([sooner, later, alsoLater]);
      expect(await store.dueTasks(at(0))).toEqual([]);
    });

    it('do not include one that runs although its lease is over', async () => {
      const { store } = await open();
      await claim(store, await addTask(store));
      expect(await store.dueTasks(afterLeaseEnd)).toEqual([]);
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
      expect(await store.nextDueAt(now)).toBe(expected);
    });

    it.each([
      ['the end of its lease for one that is claimed', { nextRun: firstSlot, leaseExpiresAt: soon }, soon],
      ['its time where that is after its lease', { nextRun: later, leaseExpiresAt: soon }, later],
    ])('is %s', async (_title, { nextRun, leaseExpiresAt }, expected) => {
      const { store } = await open();
      await claim(store, await addTask(store, { nextRun }), { slot: null, leaseExpiresAt });
      expect(await store.nextDueAt(now)).toBe(expected);
    });

    it('is now for one that was cut off, once its lease is over', async () => {
      const { store } = await open();
      await claim(store, await addTask(store), { leaseExpiresAt: soon });
      await store.recoverRuns({ owner: 'instance-2', at: now });
      expect(await store.nextDueAt(now)).toBe(soon);
      expect(await store.nextDueAt(soon)).toBe(firstSlot);
    });

    it('is never for one that is due and still runs after its lease: its end is the time', async () => {
      const { store } = await open();
      const claimed = await claim(store, await addTask(store), { leaseExpiresAt: soon });
      expect(await store.nextDueAt(later)).toBeNull();
      await store.settleRun(settleTaskInput(claimed));
      expect(await store.nextDueAt(later)).toBe(secondSlot);
    });

    it('is the time of one that is triggered, though its run outlives the lease', async () => {
      const { store } = await open();
      const task = await addTask(store, { nextRun: later });
      await claim(store, task, { slot: null, leaseExpiresAt: firstSlot });
      expect(await store.nextDueAt(now)).toBe(later);
      expect(await store.nextDueAt(later)).toBeNull();
    });
  });

  describe('giving up a slot', () => {
    const after: AfterRun = { nextRun: secondSlot, status: 'active', attempts: 0, fault: null };
    const giveUp = (store: Store, taskId: string, input: { at?: string; after?: AfterRun } = {}) =>
      store.giveUpSlot({ taskId, slot: firstSlot, lastResult: 'given up', after, at: tick(), ...input });

    it('moves the task on and says why', async () => {
      const { store } = await open();
      const task = await addTask(store, { attempts: 3, lastStatus: 'interrupted', lastRun: firstSlot });
      expect(await giveUp(store, task.id)).toBe(true);
      const moved = { nextRun: secondSlot, attempts: 0, lastResult: 'given up' };
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
