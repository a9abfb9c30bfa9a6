/** The ends of a task's run: settled once under its own claim, withdrawn without a trace, recovered. */

import { describe, expect, it } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import {
  accept,
  addTask,
  afterLeaseEnd,
  claim,
  claimInput,
  contents,
  exchange,
  firstSlot,
  leaseEnd,
  listDue,
  secondSlot,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

export function storeTaskRuns(open: OpenStore): void {
  describe("settling a task's run", () => {
    it('releases the task, uses up the slot and keeps what the run said', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      const outcome = await store.settleRun(settleTaskInput(claimed));
      expect(outcome).toMatchObject({ kind: 'settled', run: { status: 'success', conversationId: null } });
      expect(await store.getTask(task.id)).toEqual({
        ...task,
        nextRun: secondSlot,
        attempts: 0,
        lastRun: claimed.run.startedAt,
        lastResult: `last result of ${claimed.run.id}`,
        lastStatus: 'success',
      });
      expect(await listDue(store, tick())).toMatchObject([{ id: task.id, nextRun: secondSlot }]);
    });

    it('in a conversation stores the reply and releases that too', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1', prompt: 'greet' });
      const claimed = await claim(store, task);
      await store.settleRun(settleTaskInput(claimed, { text: 'hello' }));
      expect(await contents(store, 'conv-1')).toEqual(['do: greet', 'hello']);
      expect(await store.getConversation('conv-1')).toMatchObject({ status: 'idle', messageCount: 2 });
      expect((await accept(store, { conversationId: 'conv-1' })).unseen).toEqual([]);
    });

    it('leaves the slot due when it is to be tried again, with the attempts counted', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      const after = { nextRun: firstSlot, attempts: 1 };
      await store.settleRun(settleTaskInput(claimed, { status: 'cancelled', after }));
      expect(await store.getTask(task.id)).toMatchObject({ ...after, status: 'active', lastStatus: 'cancelled' });
      expect((await claim(store, task)).claim.attempt).toBe(2);
    });

    it.each([
      { status: 'completed', fault: null },
      { status: 'paused', fault: 'schedule_value means nothing' },
    ] as const)('ends the schedule: the task is $status', async (after) => {
      const { store } = await open();
      const task = await addTask(store);
      await store.settleRun(settleTaskInput(await claim(store, task), { after: { ...after, nextRun: null } }));
      expect(await store.getTask(task.id)).toMatchObject({ nextRun: null, status: after.status });
    });

    it('leaves a pause that came meanwhile', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      await store.updateTask({ id: task.id, change: (now) => ({ ...now, status: 'paused' }), at: tick() });
      await store.settleRun(settleTaskInput(claimed));
      expect(await store.getTask(task.id)).toMatchObject({ status: 'paused', nextRun: secondSlot, attempts: 0 });
    });

    it('leaves a schedule that was changed meanwhile, and still releases the task', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      const changed = { scheduleValue: '90000', nextRun: '2029-12-31T12:00:00.000Z', attempts: 0 };
      await store.updateTask({ id: task.id, change: (now) => ({ ...now, ...changed }), at: tick() });
      await store.settleRun(settleTaskInput(claimed, { after: { nextRun: null, status: 'completed' } }));
      expect(await store.getTask(task.id)).toMatchObject({ ...changed, status: 'active', lastStatus: 'success' });
      expect(await listDue(store, tick())).toHaveLength(1);
    });

    it.each<[string, Partial<Task>]>([
      ['type', { scheduleType: 'cron', scheduleValue: '60000' }],
      ['value', { scheduleValue: '90000' }],
      ['zone, from none', { timezone: 'Europe/Zurich' }],
    ])('leaves a schedule with another %s also when its next time is the same', async (_what, changed) => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      await store.updateTask({ id: task.id, change: (now) => ({ ...now, ...changed, attempts: 0 }), at: tick() });
      await store.settleRun(settleTaskInput(claimed, { after: { nextRun: null, status: 'completed' } }));
      expect(await store.getTask(task.id)).toMatchObject({ ...changed, nextRun: firstSlot, status: 'active' });
      expect(await listDue(store, tick())).toHaveLength(1);
    });

    it('uses the slot up of a schedule in a zone of its own', async () => {
      const { store } = await open();
      const task = await addTask(store, { timezone: 'Europe/Zurich' });
      await store.settleRun(settleTaskInput(await claim(store, task)));
      expect(await store.getTask(task.id)).toMatchObject({ nextRun: secondSlot });
    });

    it('late, after another instance has claimed the task anew, changes nothing of it', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      const late = await claim(store, task);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      await claim(store, task, { owner: 'instance-2', at: leaseEnd, leaseExpiresAt: afterLeaseEnd });
      const before = query('select * from scheduled_tasks');
      expect(await store.settleRun(settleTaskInput(late))).toEqual({ kind: 'lost' });
      expect(query('select * from scheduled_tasks')).toEqual(before);
    });

    it('writes to the task only under its own claim', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      query(`update scheduled_tasks set fencing_token = 7, lease_owner = 'instance-2'`);
      const before = query('select * from scheduled_tasks');
      expect(await store.settleRun(settleTaskInput(claimed))).toMatchObject({ kind: 'settled' });
      expect(query('select * from scheduled_tasks')).toEqual(before);
    });

    it('ends normally when the task was deleted meanwhile, and leaves one that was made anew alone', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const claimed = await claim(store, task);
      await store.deleteTask(task.id);
      const anew = await addTask(store, { id: task.id });
      expect(await store.claimTask(claimInput(anew))).toEqual({ kind: 'task_busy' });
      const run = { id: claimed.run.id, status: 'success' };
      expect(await store.settleRun(settleTaskInput(claimed))).toMatchObject({ kind: 'settled', run });
      expect(await store.getTask(task.id)).toEqual(anew);
      const { fencingToken } = (await claim(store, anew)).claim;
      expect(fencingToken).toBeGreaterThan(claimed.claim.fencingToken);
    });

    it('of an isolated run ends normally when the conversation of its task was deleted meanwhile', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const task = await addTask(store, { conversationId: conversation.id });
      const over = await claim(store, task);
      await store.settleRun(settleTaskInput(over));
      const running = await claim(store, { ...task, nextRun: secondSlot });
      expect(await store.deleteConversation(conversation.id)).toMatchObject({ kind: 'deleted' });
      expect(await store.getTask(task.id)).toBeNull();
      expect(await store.getRun(over.run.id)).toBeNull();
      expect(await store.settleRun(settleTaskInput(running))).toMatchObject({ kind: 'settled' });
    });
  });

  describe("withdrawing a task's run", () => {
    it.each(['isolated', 'group'] as const)('leaves everything as it was before: %s', async (contextMode) => {
      const { store, query } = await open();
      const conversationId = contextMode === 'group' ? 'conv-1' : null;
      const task = await addTask(store, { contextMode, conversationId, attempts: 1 });
      const conversation = await store.getConversation('conv-1');
      const { run, claim: held } = await claim(store, task);
      await store.withdrawRun(run.id, run.fencingToken);
      expect(await store.getTask(task.id)).toEqual(task);
      expect(await store.getConversation('conv-1')).toEqual(conversation);
      expect(await store.getRun(run.id)).toBeNull();
      for (const table of ['sessions', 'messages']) expect(query(`select * from ${table}`)).toEqual([]);
      expect((await claim(store, task)).claim).toMatchObject({ attempt: 2, fencingToken: held.fencingToken + 1 });
    });

    it('takes no attempt back that it did not count: of a trigger, and of a schedule that was changed', async () => {
      const { store } = await open();
      const task = await addTask(store, { attempts: 1 });
      const triggered = await claim(store, task, { slot: null });
      await store.withdrawRun(triggered.run.id, triggered.run.fencingToken);
      expect(await store.getTask(task.id)).toEqual(task);

      const claimed = await claim(store, task);
      const change = (now: Task) => ({ ...now, nextRun: secondSlot, attempts: 0 });
      await store.updateTask({ id: task.id, change, at: tick() });
      await store.withdrawRun(claimed.run.id, claimed.run.fencingToken);
      expect(await store.getTask(task.id)).toMatchObject({ nextRun: secondSlot, attempts: 0 });
    });

    it('changes nothing when another has it', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      const { run } = await claim(store, task);
      const before = query('select * from scheduled_tasks');
      await store.withdrawRun(run.id, run.fencingToken + 1);
      expect(query('select * from scheduled_tasks')).toEqual(before);
      expect(await store.getRun(run.id)).not.toBeNull();
    });
  });

  describe("recovering a task's run", () => {
    it('tells the task, and leaves it claimed and its own alone', async () => {
      const { store } = await open();
      const gone = await addTask(store, { lastResult: 'earlier' });
      const own = await addTask(store);
      const cutOff = await claim(store, gone, { owner: 'instance-1' });
      await claim(store, own, { owner: 'instance-2' });
      expect(await store.recoverRuns({ owner: 'instance-2', at: tick() })).toBe(1);
      const lastRun = cutOff.run.startedAt;
      const told = { ...gone, attempts: 1, lastRun, lastResult: null, lastStatus: 'interrupted' };
      expect(await store.getTask(gone.id)).toEqual(told);
      expect(await store.getTask(own.id)).toMatchObject({ lastStatus: null });
      expect(await listDue(store, tick())).toEqual([]);
      expect(await listDue(store, leaseEnd)).toEqual([told]);
    });

    it('leaves a task that was claimed anew', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      await claim(store, task);
      query('update scheduled_tasks set fencing_token = 7');
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      expect(await store.getTask(task.id)).toMatchObject({ lastStatus: null, lastRun: null });
    });

    it('leaves the transcripts of isolated runs to whoever cleans up, once they are over', async () => {
      const { store } = await open();
      const { run, sessionId } = await claim(store, await addTask(store));
      await store.addSession(run.id, 'session-second');
      expect(await store.listUnforgotten()).toEqual([]);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      const sessionIds = expect.arrayContaining([sessionId, 'session-second']);
      expect(await store.listUnforgotten()).toEqual([{ id: run.id, kind: 'run', sessionIds }]);
      expect(await store.listSessions(run.id)).toEqual(sessionIds);
      await store.forgetSessions(run.id, await store.listSessions(run.id));
      expect(await store.listUnforgotten()).toEqual([]);
    });

    it.each(['under way', 'over', 'over, and its row gone'])(
      'is never taken for a conversation that is to be deleted: an isolated run that is %s',
      async (state) => {
        const { store } = await open();
        const task = await addTask(store);
        const claimed = await claim(store, task);
        await store.addSession(claimed.run.id, 'session-second');
        if (state !== 'under way') await store.settleRun(settleTaskInput(claimed, { sessionId: 'session-third' }));
        if (state === 'over, and its row gone') await store.deleteTask(task.id);
        expect(await store.deleteConversation(claimed.run.id)).toEqual({ kind: 'not_found' });
        expect(await store.listSessions(claimed.run.id)).toContain('session-second');
      },
    );

    it('keeps the session that an isolated run went on with on record until its transcript is gone', async () => {
      const { store } = await open();
      const claimed = await claim(store, await addTask(store));
      await store.settleRun(settleTaskInput(claimed, { sessionId: 'session-other' }));
      expect((await store.listSessions(claimed.run.id)).sort()).toEqual([claimed.sessionId, 'session-other'].sort());
    });
  });
}
