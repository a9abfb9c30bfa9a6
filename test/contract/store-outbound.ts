/** Messages that the agent sends: who gets them, and when. */

import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import {
  accept,
  addTask,
  claim,
  exchange,
  secondSlot,
  settleInput,
  settleTaskInput,
  tick,
} from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

type From = { runId: string } | { conversationId: string };
const send = (store: Store, from: From, id: string) =>
  store.addOutbound({ id, from, text: `text of ${id}`, sender: null, at: tick() });
const ids = (messages: { id: string }[]) => messages.map(({ id }) => id);

export function storeOutbound(open: OpenStore): void {
  describe('outbound messages', () => {
    it('are what was sent, in the conversation of the run or the one that is named', async () => {
      const { store } = await open();
      const { run, conversation } = await accept(store);
      const sent = { text: 'Grüße 👩‍🚀', sender: 'Pico', at: tick() };
      const message = { conversationId: conversation.id, text: sent.text, sender: 'Pico', createdAt: sent.at };
      const fromRun = await store.addOutbound({ id: 'out-1', from: { runId: run.id }, ...sent });
      const fromOutside = await store.addOutbound({ id: 'out-2', from: { conversationId: conversation.id }, ...sent });
      expect([fromRun, fromOutside]).toEqual([
        { id: 'out-1', ...message },
        { id: 'out-2', ...message },
      ]);
      const outcome = await store.settleRun(settleInput({ run, sessionId: 'session-1' }));
      expect(outcome).toMatchObject({ outbound: [fromRun, fromOutside] });
    });

    it('go with the next answer of their conversation, oldest first, and only once', async () => {
      const { store } = await open();
      const accepted = await accept(store);
      const other = await exchange(store);
      for (const id of ['out-2', 'out-1']) await send(store, { conversationId: accepted.conversation.id }, id);
      await send(store, { conversationId: other.conversation.id }, 'out-other');
      const outcome = await store.settleRun(settleInput(accepted));
      expect(outcome).toMatchObject({ kind: 'settled', outbound: [{ id: 'out-2' }, { id: 'out-1' }] });
      const next = await accept(store, { conversationId: accepted.conversation.id });
      expect(await store.settleRun(settleInput(next))).toMatchObject({ outbound: [] });
    });

    it('are delivered again when their delivery is taken back', async () => {
      const { store } = await open();
      const accepted = await accept(store);
      await send(store, { runId: accepted.run.id }, 'out-1');
      await store.settleRun(settleInput(accepted));
      await store.undeliver(['out-1']);
      await store.undeliver([]);
      const next = await accept(store, { conversationId: accepted.conversation.id });
      expect(await store.settleRun(settleInput(next))).toMatchObject({ outbound: [{ id: 'out-1' }] });
    });

    it('are not taken from a run that is over or unknown, nor for a conversation that is not there', async () => {
      const { store, query } = await open();
      const over = await exchange(store);
      const cutOff = await accept(store);
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      for (const runId of [over.run.id, cutOff.run.id, 'run-none'])
        expect(await send(store, { runId }, `out-${runId}`)).toBeNull();
      expect(await send(store, { conversationId: 'conv-none' }, 'out-none')).toBeNull();
      expect(query('select id from outbound_messages')).toEqual([]);
    });

    it('of an isolated run are its own: in its answer, its run log, and nowhere else', async () => {
      const { store, query } = await open();
      const { conversation } = await exchange(store);
      const task = await addTask(store, { conversationId: conversation.id });
      const claimed = await claim(store, task);
      for (const id of ['out-1', 'out-2'])
        expect(await send(store, { runId: claimed.run.id }, id)).toMatchObject({ id, conversationId: null });
      const outcome = await store.settleRun(settleTaskInput(claimed));
      if (outcome.kind !== 'settled') throw new Error(outcome.kind);
      expect(ids(outcome.outbound)).toEqual(['out-1', 'out-2']);
      expect(await store.listTaskRuns(task.id, { limit: 1, cursor: null })).toMatchObject({
        items: [{ outboundMessages: outcome.outbound }],
      });
      expect(query('select id from outbound_messages')).toEqual([]);
    });

    it("of a group task's run go with its answer and stay in its log; what waited before goes on waiting", async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      await send(store, { conversationId: conversation.id }, 'out-before');
      const task = await addTask(store, { contextMode: 'group', conversationId: conversation.id });
      const claimed = await claim(store, task);
      await send(store, { runId: claimed.run.id }, 'out-own');
      const outcome = await store.settleRun(settleTaskInput(claimed));
      expect(outcome).toMatchObject({ outbound: [{ id: 'out-own', conversationId: conversation.id }] });
      expect(await store.listTaskRuns(task.id, { limit: 1, cursor: null })).toMatchObject({
        items: [{ outboundMessages: [{ id: 'out-own', conversationId: conversation.id }] }],
      });
      const next = await accept(store, { conversationId: conversation.id });
      const answered = await store.settleRun(settleInput(next));
      expect(answered.kind === 'settled' ? ids(answered.outbound) : null).toEqual(['out-before']);
    });

    it("of a task's run that was cut off, or whose answer was lost, go with the next answer of the conversation", async () => {
      const { store } = await open();
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      const answered = await claim(store, task);
      await send(store, { runId: answered.run.id }, 'out-lost');
      await store.settleRun(settleTaskInput(answered));
      await store.undeliver(['out-lost']);
      const cutOff = await claim(store, { id: task.id, nextRun: secondSlot });
      await send(store, { runId: cutOff.run.id }, 'out-cut-off');
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      const next = await accept(store, { conversationId: 'conv-1' });
      expect(await store.settleRun(settleInput(next))).toMatchObject({
        outbound: [{ id: 'out-lost' }, { id: 'out-cut-off' }],
      });
    });

    it('leave no trace when they are withdrawn: of a chat, from outside, of an isolated and of a group run', async () => {
      const { store, query } = await open();
      const chat = await accept(store);
      const idle = await exchange(store);
      const isolated = await claim(store, await addTask(store));
      const task = await addTask(store, { contextMode: 'group', conversationId: idle.conversation.id });
      const group = await claim(store, task);
      const froms = {
        chat: { runId: chat.run.id },
        outside: { conversationId: chat.conversation.id },
        isolated: { runId: isolated.run.id },
        group: { runId: group.run.id },
      };
      for (const [name, from] of Object.entries(froms))
        for (const which of ['kept', 'withdrawn']) await send(store, from, `out-${name}-${which}`);
      for (const name of Object.keys(froms)) await store.withdrawOutbound(`out-${name}-withdrawn`);
      await store.withdrawOutbound('out-none');
      expect(query(`select id from outbound_messages where id like '%withdrawn'`)).toEqual([]);
      expect(query(`select id from runs where outbound_messages like '%withdrawn%'`)).toEqual([]);
      const outcomes = [
        await store.settleRun(settleInput(chat)),
        await store.settleRun(settleTaskInput(isolated)),
        await store.settleRun(settleTaskInput(group)),
      ];
      expect(outcomes).toMatchObject([
        { outbound: [{ id: 'out-chat-kept' }, { id: 'out-outside-kept' }] },
        { outbound: [{ id: 'out-isolated-kept' }] },
        { outbound: [{ id: 'out-group-kept' }] },
      ]);
    });

    it('cannot be withdrawn when an answer has taken them along', async () => {
      const { store, query } = await open();
      const chat = await accept(store);
      const isolated = await claim(store, await addTask(store));
      const task = await addTask(store, { contextMode: 'group', conversationId: 'conv-1' });
      const group = await claim(store, task);
      const runs = [chat, isolated, group].map(({ run }) => run.id);
      for (const runId of runs) await send(store, { runId }, `out-of-${runId}`);
      await store.settleRun(settleInput(chat));
      for (const claimed of [isolated, group]) await store.settleRun(settleTaskInput(claimed));
      const kept = () => [query('select * from outbound_messages'), query('select outbound_messages from runs')];
      const before = kept();
      for (const runId of runs) await store.withdrawOutbound(`out-of-${runId}`);
      expect(kept()).toEqual(before);
    });

    it('lose none of many that a run sends at once', async () => {
      const { store } = await open();
      const claimed = await claim(store, await addTask(store));
      const sent = Array.from({ length: 20 }, (_, i) => `out-${i}`);
      await Promise.all(sent.map((id) => send(store, { runId: claimed.run.id }, id)));
      const outcome = await store.settleRun(settleTaskInput(claimed));
      expect(outcome.kind === 'settled' ? ids(outcome.outbound) : null).toEqual(sent);
    });
  });
}
