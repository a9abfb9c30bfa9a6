/** Runs: taken by one, settled once, withdrawn without a trace, recovered when their instance is gone. */

import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import type { Store } from '../../src/store/store.ts';
import { accept, acceptInput, contents, exchange, settleInput, tick } from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

export function storeRuns(open: OpenStore): void {
  describe('accepting a run', () => {
    it('creates a conversation, takes it, and stores message and run', async () => {
      const { store } = await open();
      const input = acceptInput({ text: 'hello' });
      const outcome = await store.acceptRun(input);
      expect(outcome).toEqual({
        kind: 'accepted',
        run: expect.objectContaining({
          id: input.runId,
          conversationId: input.newConversationId,
          source: 'chat',
          status: 'running',
          fencingToken: 1,
          userMessageId: input.message.id,
          assistantMessageId: null,
          error: null,
          startedAt: input.at,
          endedAt: null,
        }),
        sessionId: input.newSessionId,
        ask: {
          kind: 'conversation',
          conversation: {
            id: input.newConversationId,
            sessionId: input.newSessionId,
            createdAt: input.at,
            lastActivity: input.at,
            messageCount: 1,
            status: 'running',
          },
          message: {
            id: input.message.id,
            conversationId: input.newConversationId,
            role: 'user',
            sender: 'ada',
            senderName: 'Ada',
            content: 'hello',
            createdAt: input.at,
          },
          unseen: [],
        },
        claim: null,
      });
      expect(await store.getRun(input.runId)).toMatchObject({ status: 'running' });
      expect(await store.getConversation(input.newConversationId)).toMatchObject({
        status: 'running',
        messageCount: 1,
      });
    });

    it('keeps every character of a message', async () => {
      const { store } = await open();
      const text = 'Grüße 👩‍🚀\r\n\t"quoted"  \\  中文 ';
      const { conversation } = await accept(store, { text });
      expect(await contents(store, conversation.id)).toEqual([text]);
    });

    it('does not know a conversation that was never created', async () => {
      const { store } = await open();
      expect(await store.acceptRun(acceptInput({ conversationId: 'conv-none' }))).toEqual({ kind: 'not_found' });
      expect(await store.counts()).toEqual({ conversations: 0, tasks: 0 });
    });

    it('refuses a busy conversation and stores nothing', async () => {
      const { store } = await open();
      const first = await accept(store);
      const before = await store.getConversation(first.conversation.id);
      const refused = acceptInput({ conversationId: first.conversation.id });
      expect(await store.acceptRun(refused)).toEqual({ kind: 'busy' });
      expect(await store.getConversation(first.conversation.id)).toEqual(before);
      expect(await store.getRun(refused.runId)).toBeNull();
      expect(await contents(store, first.conversation.id)).toHaveLength(1);
    });

    it('accepts exactly one of fifty that come at once, and stores nothing of the others', async () => {
      const { store, query } = await open();
      const { conversation } = await exchange(store);
      const inputs = Array.from({ length: 50 }, () => acceptInput({ conversationId: conversation.id }));
      const outcomes = await Promise.all(inputs.map((input) => store.acceptRun(input)));
      expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(['accepted', ...Array(49).fill('busy')]);
      expect(await store.getConversation(conversation.id)).toMatchObject({ messageCount: 3, status: 'running' });
      expect(await contents(store, conversation.id)).toHaveLength(3);
      expect(query('select id from runs')).toHaveLength(2);
    });

    it('shows nobody what it undoes: a call that fails half way was never there', async () => {
      const { store } = await open();
      const { conversation, message } = await exchange(store);
      const before = await store.getConversation(conversation.id);
      const clash = acceptInput({ conversationId: conversation.id });
      const failing = store.acceptRun({ ...clash, message: { ...clash.message, id: message.id } });
      const seen = Array.from({ length: 20 }, () => store.getConversation(conversation.id));
      await expect(failing).rejects.toThrow();
      for (const conversationSeen of await Promise.all(seen)) expect(conversationSeen).toEqual(before);
      expect(await store.getRun(clash.runId)).toBeNull();
    });

    it('raises the fencing token each time the conversation is taken, withdrawn and recovered runs included', async () => {
      const { store } = await open();
      const first = await exchange(store);
      const conversationId = first.conversation.id;
      const second = await accept(store, { conversationId });
      await store.withdrawRun(second.run.id, second.run.fencingToken);
      const third = await accept(store, { conversationId });
      await store.recoverRuns({ owner: 'instance-2', at: tick() });
      const fourth = await accept(store, { conversationId });
      expect([first, second, third, fourth].map(({ run }) => run.fencingToken)).toEqual([1, 2, 3, 4]);
    });
  });

  describe('withdrawing a run', () => {
    it('leaves no trace of a conversation that was created for it', async () => {
      const { store, query } = await open();
      const { run, conversation } = await accept(store);
      await store.withdrawRun(run.id, run.fencingToken);
      expect(await store.getConversation(conversation.id)).toBeNull();
      expect(await store.getRun(run.id)).toBeNull();
      expect(query('select * from messages')).toEqual([]);
    });

    it('leaves an older conversation as it was before', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const before = await store.getConversation(conversation.id);
      const texts = await contents(store, conversation.id);
      const { run } = await accept(store, { conversationId: conversation.id });
      await store.withdrawRun(run.id, run.fencingToken);
      expect(await store.getConversation(conversation.id)).toEqual(before);
      expect(await contents(store, conversation.id)).toEqual(texts);
      expect(await store.getRun(run.id)).toBeNull();
    });

    it.each(['settled', 'another token'])('changes nothing when the run is not ours to withdraw: %s', async (why) => {
      const { store } = await open();
      const accepted = await accept(store);
      if (why === 'settled') await store.settleRun(settleInput(accepted));
      const before = await store.getConversation(accepted.conversation.id);
      await store.withdrawRun(accepted.run.id, accepted.run.fencingToken + (why === 'settled' ? 0 : 1));
      expect(await store.getConversation(accepted.conversation.id)).toEqual(before);
      expect(await store.getRun(accepted.run.id)).not.toBeNull();
    });
  });

  describe('settling a run', () => {
    it('stores the reply, closes the run and releases the conversation', async () => {
      const { store } = await open();
      const accepted = await accept(store, { text: 'question' });
      const input = settleInput(accepted, {
        text: 'answer',
        sessionId: 'session-7',
        usage: { inputTokens: 1, outputTokens: 2, cacheReadInputTokens: 3, cacheCreationInputTokens: 4 },
        costUsd: 0.125,
        numTurns: 3,
      });
      const outcome = await store.settleRun(input);
      const run = {
        ...accepted.run,
        status: 'success',
        assistantMessageId: input.reply?.id,
        model: 'claude-test',
        usage: input.usage,
        costUsd: 0.125,
        numTurns: 3,
        endedAt: input.at,
      };
      expect(outcome).toEqual({ kind: 'settled', run, outbound: [] });
      expect(await store.getRun(accepted.run.id)).toEqual(run);
      expect(await store.getConversation(accepted.conversation.id)).toEqual({
        ...accepted.conversation,
        sessionId: 'session-7',
        lastActivity: input.at,
        messageCount: 2,
        status: 'idle',
      });
      const page = await store.listMessages(accepted.conversation.id, { limit: 10, cursor: null });
      expect(page?.items.map(({ role, content }) => ({ role, content }))).toEqual([
        { role: 'user', content: 'question' },
        { role: 'assistant', content: 'answer' },
      ]);
    });

    it('keeps the problem that the run ended with, and stores no reply when there is none', async () => {
      const { store } = await open();
      const accepted = await accept(store);
      const error = new Problem('invalid_request', 'no such model', {
        errors: [{ path: 'model', message: 'unknown' }],
        conversationId: accepted.conversation.id,
      }).toBody('req-1');
      await store.settleRun(settleInput(accepted, { status: 'error', reply: null, error }));
      expect(await store.getRun(accepted.run.id)).toMatchObject({ status: 'error', error, assistantMessageId: null });
      expect(await contents(store, accepted.conversation.id)).toHaveLength(1);
    });

    it('happens once: of several at once one settles, the others are lost and store nothing', async () => {
      const { store } = await open();
      const accepted = await accept(store);
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => store.settleRun(settleInput(accepted))));
      expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(['lost', 'lost', 'lost', 'lost', 'settled']);
      expect(await contents(store, accepted.conversation.id)).toHaveLength(2);
    });

    it.each<[string, (store: Store, conversationId: string) => Promise<unknown>]>([
      ['after another instance recovered it', (store) => store.recoverRuns({ owner: 'instance-2', at: tick() })],
      [
        'when the conversation went on with another run',
        async (store, conversationId) => {
          await store.recoverRuns({ owner: 'instance-2', at: tick() });
          await accept(store, { conversationId, owner: 'instance-2' });
        },
      ],
      [
        'when the conversation was deleted',
        async (store, conversationId) => {
          await store.recoverRuns({ owner: 'instance-2', at: tick() });
          await store.deleteConversation(conversationId);
        },
      ],
    ])('is lost, and changes nothing, %s', async (_when, happen) => {
      const { store } = await open();
      const accepted = await accept(store);
      await happen(store, accepted.conversation.id);
      const before = [await store.getConversation(accepted.conversation.id), await store.getRun(accepted.run.id)];
      expect(await store.settleRun(settleInput(accepted))).toEqual({ kind: 'lost' });
      expect([await store.getConversation(accepted.conversation.id), await store.getRun(accepted.run.id)]).toEqual(
        before,
      );
    });

    it('is lost with a token that is not the one of the run', async () => {
      const { store } = await open();
      const accepted = await accept(store);
      expect(await store.settleRun(settleInput(accepted, { fencingToken: 99 }))).toEqual({ kind: 'lost' });
    });
  });

  describe('recovering runs', () => {
    it('interrupts the runs of other instances, frees their conversations, and leaves its own', async () => {
      const { store } = await open();
      const gone = await accept(store, { owner: 'instance-1' });
      const own = await accept(store, { owner: 'instance-2' });
      const settled = await exchange(store);
      const at = tick();
      expect(await store.recoverRuns({ owner: 'instance-2', at })).toBe(1);
      expect(await store.recoverRuns({ owner: 'instance-2', at: tick() })).toBe(0);
      expect(await store.getRun(gone.run.id)).toMatchObject({ status: 'interrupted', endedAt: at });
      expect(await store.getRun(own.run.id)).toMatchObject({ status: 'running', endedAt: null });
      expect(await store.getRun(settled.run.id)).toMatchObject({ status: 'success' });
      expect(await store.getConversation(gone.conversation.id)).toMatchObject({ status: 'idle', messageCount: 1 });
      expect(await store.getConversation(own.conversation.id)).toMatchObject({ status: 'running' });
    });
  });
}
