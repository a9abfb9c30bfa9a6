/** Tasks are claimed for a run by one of many, and held under a lease. */

import { describe, expect, it } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import type { Store, TaskClaim } from '../../src/store/store.ts';
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
  settleInput,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

export function storeClaims(open: OpenStore): void {
  describe('claiming a task', () => {
    it('stores the run, counts the attempt and holds the task; an isolated run stores nothing else', async () => {
      const { store, query } = await open();
      const task = await addTask(store, { prompt: 'water the plants' });
      const input = claimInput(task);
      const outcome = await store.claimTask(input);
      const run = expect.objectContaining({
        id: input.runId,
        conversationId: null,
        source: 'task_check',
        status: 'running',
        fencingToken: 1,
        userMessageId: null,
        startedAt: input.at,
      });
      expect(outcome).toEqual({
        kind: 'accepted',
        run,
        sessionId: input.newSessionId,
        ask: { kind: 'alone', messageId: input.message.id, text: 'do: water the plants' },
        claim: { task: { ...task, attempts: 1 }, slot: firstSlot, attempt: 1, fencingToken: 1 },
      });
      expect(await store.getRun(input.runId)).toEqual(run);
      expect(await store.getTask(task.id)).toEqual({ ...task, attempts: 1 });
      expect(await store.listSessions(input.runId)).toEqual([input.newSessionId]);
      expect(query('select id from messages')).toEqual([]);
      expect(await store.counts()).toEqual({ conversations: 0, tasks: 1 });
    });

    it('takes the conversation of a group task as a chat does, and the prompt is a message there', async () => {
      const { store } = await open();
      const { conversation, sessionId } = await exchange(store);
      const failed = await accept(store, { conversationId: conversation.id, text: 'unheard' });
      await store.settleRun(settleInput(failed, { status: 'error', reply: null, seen: false }));
      const task = await addTask(store, { contextMode: 'group', conversationId: conversation.id, prompt: 'greet' });
      const input = claimInput(task);
      const outcome = await store.claimTask(input);
      expect(outcome).toMatchObject({
        kind: 'accepted',
        sessionId,
        run: { conversationId: conversation.id, fencingToken: 3, userMessageId: input.message.id },
        ask: {
          kind: 'conversation',
          conversation: { id: conversation.id, status: 'running', messageCount: 4, lastActivity: input.at },
          message: { id: input.message.id, role: 'user', sender: 'scheduler', content: 'do: greet' },
          unseen: [{ content: 'unheard' }],
        },
        claim: { fencingToken: 1, attempt: 1 },
      });
      expect((await contents(store, conversation.id)).at(-1)).toBe('do: greet');
    });

    it('gives a conversation that has no session a new one, on record for its deletion', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-new' });
      const claimed = await claim(store, task);
      expect(await store.listSessions('conv-new')).toEqual([claimed.sessionId]);
    });

    it('does not know a task that was never made', async () => {
      const { store } = await open();
      const none = { id: 'task-none', nextRun: firstSlot };
      expect(await store.claimTask(claimInput(none))).toEqual({ kind: 'not_found' });
    });

    it.each<[string, Partial<Task>]>([
      ['it has another next time', { nextRun: secondSlot }],
      ['it has no next time', { nextRun: null }],
      ['it is paused', { status: 'paused' }],
      ['it is completed', { status: 'completed' }],
    ])('is refused for a slot when %s', async (_why, task) => {
      const { store, query } = await open();
      const { id } = await addTask(store, task);
      const before = await store.getTask(id);
      expect(await store.claimTask(claimInput({ id, nextRun: firstSlot }))).toEqual({ kind: 'not_due' });
      expect(await store.getTask(id)).toEqual(before);
      expect(query('select id from runs')).toEqual([]);
    });

    it.each<Partial<Task>>([{ status: 'paused' }, { status: 'completed', nextRun: null }, {}])(
      'without a slot runs it whatever its schedule says, and counts no attempt: %j',
      async (given) => {
        const { store } = await open();
        const task = await addTask(store, { ...given, attempts: 2 });
        const claimed = await claim(store, task, { slot: null });
        expect(claimed).toMatchObject({ run: { source: 'task_trigger' }, claim: { slot: null, attempt: 1, task } });
        await store.settleRun(settleTaskInput(claimed));
        const { nextRun, status, attempts } = task;
        expect(await store.getTask(task.id)).toMatchObject({ nextRun, status, attempts, lastStatus: 'success' });
      },
    );

    it.each(['a check', 'a trigger'])(
      'is refused to %s while a run of it is under way, expired or not',
      async (who) => {
        const { store } = await open();
        const task = await addTask(store);
        await claim(store, task);
        const slot = who === 'a check' ? firstSlot : null;
        for (const at of [tick(), afterLeaseEnd])
          expect(await store.claimTask(claimInput(task, { slot, at }))).toEqual({ kind: 'task_busy' });
      },
    );

    it('is refused after a run that was cut off until its lease has expired, and then counts on', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const first = await claim(store, task);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      const early = claimInput(task, { at: '2098-12-31T23:59:59.999Z' });
      expect(await store.claimTask(early)).toEqual({ kind: 'task_busy' });
      const second = await claim(store, task, { at: leaseEnd });
      expect(second.claim).toMatchObject({ attempt: 2, fencingToken: first.claim.fencingToken + 1 });
    });

    it('is refused while its conversation is busy, and stores nothing', async () => {
      const { store } = await open();
      const { conversation } = await accept(store);
      const task = await addTask(store, { contextMode: 'group', conversationId: conversation.id });
      const input = claimInput(task);
      const before = await store.getConversation(conversation.id);
      expect(await store.claimTask(input)).toEqual({ kind: 'conversation_busy', conversationId: conversation.id });
      expect(await store.getTask(task.id)).toEqual(task);
      expect(await store.getConversation(conversation.id)).toEqual(before);
      expect(await store.getRun(input.runId)).toBeNull();
      expect(await contents(store, conversation.id)).toHaveLength(1);
      expect(await store.countDue(tick())).toBe(1);
    });

    it('of twenty due tasks, fifty claims at once get each one exactly once', async () => {
      const { store, query } = await open();
      for (let i = 0; i < 20; i++)
        await addTask(store, i % 2 === 0 ? {} : { contextMode: 'group', conversationId: `conv-${i}` });
      const due = await listDue(store, tick());
      expect(due).toHaveLength(20);
      const inputs = Array.from({ length: 50 }, (_, i) => claimInput(due[i % 20] ?? { id: 'none', nextRun: null }));
      const outcomes = await Promise.all(inputs.map((input) => store.claimTask(input)));
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual([
        ...Array(20).fill('accepted'),
        ...Array(30).fill('task_busy'),
      ]);
      const running = query(`select distinct task_id from runs where status = 'running'`);
      expect(running).toHaveLength(20);
      expect(query('select id from runs')).toHaveLength(20);
      expect(await listDue(store, tick())).toEqual([]);
    });

    it('of one conversation, several group tasks get it one at a time', async () => {
      const { store } = await open();
      const group = { contextMode: 'group', conversationId: 'conv-shared' } as const;
      const tasks = [await addTask(store, group), await addTask(store, group), await addTask(store, group)];
      const outcomes = await Promise.all(tasks.map((task) => store.claimTask(claimInput(task))));
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual(['accepted', 'conversation_busy', 'conversation_busy']);
    });

    it('makes the prompt of the claim as it is stored', async () => {
      const { store } = await open();
      const input = claimInput(await addTask(store, { attempts: 1 }));
      const render = (claimed: TaskClaim) => JSON.stringify(claimed);
      const outcome = await store.claimTask({ ...input, message: { ...input.message, render } });
      if (outcome.kind !== 'accepted') throw new Error(outcome.kind);
      expect(outcome.claim).toMatchObject({ attempt: 2, slot: firstSlot });
      expect(outcome.ask).toMatchObject({ text: JSON.stringify(outcome.claim) });
    });

    it('undoes all of it when the prompt cannot be made', async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      const input = claimInput(task);
      const render = () => {
        throw new Error('no prompt');
      };
      await expect(store.claimTask({ ...input, message: { ...input.message, render } })).rejects.toThrow('no prompt');
      expect(await store.getTask(task.id)).toEqual(task);
      expect(await store.getConversation('conv-1')).toMatchObject({ status: 'idle', messageCount: 0 });
    });
  });

  describe('the lease of a claim', () => {
    it('is renewed by its run: the task stays claimed longer', async () => {
      const { store } = await open();
      const task = await addTask(store);
      const { claim: held } = await claim(store, task, { leaseExpiresAt: '2098-01-01T00:00:00.000Z' });
      const { fencingToken } = held;
      expect(await store.renewLease({ taskId: task.id, fencingToken, expiresAt: leaseEnd })).toBe(true);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      expect(await listDue(store, '2098-06-01T00:00:00.000Z')).toEqual([]);
      expect(await listDue(store, leaseEnd)).toHaveLength(1);
    });

    it.each<[string, (store: Store, task: Task) => Promise<unknown>]>([
      ['was recovered', (store) => store.recoverRuns({ owner: 'instance-2', at: tick() })],
      [
        'was recovered, and its task claimed again',
        async (store, task) => {
          await store.recoverRuns({ owner: 'instance-2', at: tick() });
          await claim(store, task, { at: leaseEnd, leaseExpiresAt: afterLeaseEnd, owner: 'instance-2' });
        },
      ],
    ])('cannot be renewed when the run %s', async (_how, happen) => {
      const { store, query } = await open();
      const task = await addTask(store);
      const { claim: held } = await claim(store, task);
      await happen(store, task);
      const before = query('select lease_expires_at from scheduled_tasks');
      const input = { taskId: task.id, fencingToken: held.fencingToken, expiresAt: '2199-01-01T00:00:00.000Z' };
      expect(await store.renewLease(input)).toBe(false);
      expect(query('select lease_expires_at from scheduled_tasks')).toEqual(before);
    });

    it('is still its own when the task was deleted meanwhile, or made anew', async () => {
      const { store, query } = await open();
      const task = await addTask(store);
      const { claim: held } = await claim(store, task);
      const renew = () => store.renewLease({ taskId: task.id, fencingToken: held.fencingToken, expiresAt: leaseEnd });
      await store.deleteTask(task.id);
      expect(await renew()).toBe(true);
      await addTask(store, { id: task.id });
      expect(await renew()).toBe(true);
      expect(query('select lease_expires_at from scheduled_tasks')).toEqual([{ lease_expires_at: null }]);
    });
  });
}
