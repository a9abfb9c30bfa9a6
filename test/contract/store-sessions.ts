/** What belongs to the conversation between its runs: what its session has seen, what waits to be delivered. */

import { describe, expect, it } from 'vitest';
import { accept, exchange, settleInput, tick } from '../support/store-inputs.ts';
import type { OpenStore, StoreUnderTest } from './store-contract.ts';

export function storeSessions(open: OpenStore): void {
  describe('what a session has seen', () => {
    it('is everything after a run that says so', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      expect((await accept(store, { conversationId: conversation.id })).unseen).toEqual([]);
    });

    it('lacks the questions of runs that failed or were cut off, and gets them with the next one, oldest first', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const conversationId = conversation.id;
      const failed = await accept(store, { conversationId, text: 'first' });
      await store.settleRun(settleInput(failed, { status: 'error', reply: null, seen: false }));
      await accept(store, { conversationId, text: 'second' });
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      const next = await accept(store, { conversationId, text: 'third' });
      expect(next.unseen.map((message) => message.content)).toEqual(['first', 'second']);
      await store.settleRun(settleInput(next));
      expect((await accept(store, { conversationId })).unseen).toEqual([]);
    });

    it('holds no answers: only questions are repeated', async () => {
      const { store } = await open();
      const accepted = await accept(store, { text: 'question' });
      await store.settleRun(settleInput(accepted, { status: 'timeout', text: 'half an answer', seen: false }));
      const next = await accept(store, { conversationId: accepted.conversation.id });
      expect(next.unseen.map((message) => message.content)).toEqual(['question']);
    });

    it('is the new session of a run that used another one', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store, { settle: { sessionId: 'session-a' } });
      await exchange(store, { conversationId: conversation.id, settle: { sessionId: 'session-b' } });
      expect(await store.getConversation(conversation.id)).toMatchObject({ sessionId: 'session-b' });
      expect((await accept(store, { conversationId: conversation.id })).unseen).toEqual([]);
    });

    it('is nothing in a new session that did not take the prompt', async () => {
      const { store } = await open();
      const { conversation, message } = await exchange(store, { settle: { sessionId: 'session-a' } });
      const second = await exchange(store, {
        conversationId: conversation.id,
        settle: { sessionId: 'session-b', seen: false, status: 'timeout', reply: null },
      });
      const next = await accept(store, { conversationId: conversation.id });
      expect(next.unseen).toEqual([message, second.message]);
    });
  });

  describe('outbound messages', () => {
    const seed = ({ query }: StoreUnderTest, conversationId: string, id: string) =>
      query(
        `insert into outbound_messages (id, conversation_id, text, sender, created_at) values (?, ?, ?, null, ?)`,
        id,
        conversationId,
        `text of ${id}`,
        tick(),
      );

    it('go with the next answer of their conversation, oldest first, and only once', async () => {
      const opened = await open();
      const { store } = opened;
      const accepted = await accept(store);
      const other = await exchange(store);
      for (const id of ['out-2', 'out-1']) seed(opened, accepted.conversation.id, id);
      seed(opened, other.conversation.id, 'out-other');
      const outcome = await store.settleRun(settleInput(accepted));
      expect(outcome).toMatchObject({
        kind: 'settled',
        outbound: [
          { id: 'out-2', conversationId: accepted.conversation.id, text: 'text of out-2', sender: null },
          { id: 'out-1', conversationId: accepted.conversation.id, text: 'text of out-1', sender: null },
        ],
      });
      const next = await accept(store, { conversationId: accepted.conversation.id });
      expect(await store.settleRun(settleInput(next))).toMatchObject({ outbound: [] });
    });

    it('are delivered again when their delivery is taken back', async () => {
      const opened = await open();
      const { store } = opened;
      const accepted = await accept(store);
      seed(opened, accepted.conversation.id, 'out-1');
      await store.settleRun(settleInput(accepted));
      await store.undeliver(['out-1']);
      await store.undeliver([]);
      const next = await accept(store, { conversationId: accepted.conversation.id });
      expect(await store.settleRun(settleInput(next))).toMatchObject({ outbound: [{ id: 'out-1' }] });
    });
  });
}
