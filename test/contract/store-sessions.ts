/** What belongs to the conversation between its runs: what its session has seen. */

import { describe, expect, it } from 'vitest';
import { accept, exchange, settleInput, tick } from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

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
}
