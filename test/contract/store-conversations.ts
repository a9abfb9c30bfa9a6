/** Conversations and their messages: read page by page, read for a fresh session, deleted whole. */

import { describe, expect, it } from 'vitest';
import { InvalidCursor } from '../../src/store/store.ts';
import { accept, addTask, contents, exchange, runOnce, settleInput, tick } from '../support/store-inputs.ts';
import type { OpenStore } from './store-contract.ts';

export function storeConversations(open: OpenStore): void {
  describe('lists', () => {
    it('show conversations newest first, each once, while others are used, made and deleted between the pages', async () => {
      const { store } = await open();
      const ids: string[] = [];
      for (let i = 0; i < 7; i++) ids.unshift((await exchange(store)).conversation.id);
      const seen: string[] = [];
      for (let cursor: string | null | undefined = null; cursor !== undefined; ) {
        const page = await store.listConversations({ limit: 3, cursor });
        seen.push(...page.items.map((conversation) => conversation.id));
        await exchange(store, { conversationId: ids.at(-1) ?? null });
        await exchange(store);
        if (seen.length === 3) await store.deleteConversation(seen[2] ?? '');
        cursor = page.nextCursor ?? undefined;
      }
      expect(seen).toEqual(ids);
    });

    it('show messages oldest first, page by page', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      for (let i = 0; i < 3; i++) await exchange(store, { conversationId: conversation.id });
      await exchange(store);
      const all = await contents(store, conversation.id);
      const first = await store.listMessages(conversation.id, { limit: 5, cursor: null });
      const second = await store.listMessages(conversation.id, { limit: 5, cursor: first?.nextCursor ?? null });
      expect(all).toHaveLength(8);
      expect([...(first?.items ?? []), ...(second?.items ?? [])].map((message) => message.content)).toEqual(all);
      expect(second?.nextCursor).toBeNull();
    });

    it('have no next page after a page that is exactly full', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      expect(await store.listMessages(conversation.id, { limit: 2, cursor: null })).toMatchObject({ nextCursor: null });
      expect(await store.listConversations({ limit: 1, cursor: null })).toMatchObject({ nextCursor: null });
    });

    it('are empty, not missing, when there is nothing', async () => {
      const { store } = await open();
      expect(await store.listConversations({ limit: 10, cursor: null })).toEqual({ items: [], nextCursor: null });
      expect(await store.listMessages('conv-none', { limit: 10, cursor: null })).toBeNull();
    });

    it.each(['', 'x', '!!!', 'eyJhIjoxfQ', Buffer.from('{"list":"conversations","after":-1}').toString('base64url')])(
      'refuse a cursor that they did not return: %j',
      async (cursor) => {
        const { store } = await open();
        const { conversation } = await exchange(store);
        await expect(store.listConversations({ limit: 1, cursor })).rejects.toThrow(InvalidCursor);
        await expect(store.listMessages(conversation.id, { limit: 1, cursor })).rejects.toThrow(InvalidCursor);
      },
    );

    it('refuse the cursor of another list', async () => {
      const { store } = await open();
      const a = await exchange(store);
      const b = await exchange(store);
      const page = await store.listMessages(a.conversation.id, { limit: 1, cursor: null });
      const cursor = page?.nextCursor ?? null;
      expect(cursor).not.toBeNull();
      await expect(store.listMessages(b.conversation.id, { limit: 1, cursor })).rejects.toThrow(InvalidCursor);
      await expect(store.listConversations({ limit: 1, cursor })).rejects.toThrow(InvalidCursor);
    });
  });

  describe('recent messages', () => {
    it.each([
      { maxCharacters: 0, expected: [], omitted: 4 },
      { maxCharacters: 9, expected: [], omitted: 4 },
      { maxCharacters: 10, expected: ['d'], omitted: 3 },
      { maxCharacters: 29, expected: ['c', 'd'], omitted: 2 },
      { maxCharacters: 40, expected: ['a', 'b', 'c', 'd'], omitted: 0 },
    ])('are the last ones whose $maxCharacters characters fit, whole', async ({ maxCharacters, expected, omitted }) => {
      const { store } = await open();
      const first = await accept(store, { text: 'a'.repeat(10) });
      const conversationId = first.conversation.id;
      await store.settleRun(settleInput(first, { text: 'b'.repeat(10) }));
      const second = await accept(store, { conversationId, text: 'c'.repeat(10) });
      await store.settleRun(settleInput(second, { text: 'd'.repeat(10) }));
      const { message } = await accept(store, { conversationId, text: 'e' });
      const recent = await store.recentMessages({ conversationId, beforeMessageId: message.id, maxCharacters });
      expect(recent.messages.map(({ content }) => content[0])).toEqual(expected);
      expect(recent.omitted).toBe(omitted);
    });

    it('have no gap: one that is too long ends them, though a shorter one lies before it', async () => {
      const { store } = await open();
      const first = await accept(store, { text: 'short' });
      const conversationId = first.conversation.id;
      await store.settleRun(settleInput(first, { text: 'long'.repeat(100) }));
      const { message } = await accept(store, { conversationId });
      const recent = await store.recentMessages({ conversationId, beforeMessageId: message.id, maxCharacters: 100 });
      expect(recent).toEqual({ messages: [], omitted: 2 });
    });

    it('reach back through a history of any length', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      for (let i = 0; i < 120; i++) await exchange(store, { conversationId: conversation.id });
      const all = await contents(store, conversation.id);
      const { message } = await accept(store, { conversationId: conversation.id });
      const input = { conversationId: conversation.id, beforeMessageId: message.id };
      const page = await store.listMessages(conversation.id, { limit: 200, cursor: null });
      const rest = await store.listMessages(conversation.id, { limit: 200, cursor: page?.nextCursor ?? null });
      const everything = [...all, ...(rest?.items ?? []).map(({ content }) => content)].slice(0, 242);
      const whole = await store.recentMessages({ ...input, maxCharacters: 1_000_000 });
      expect(whole.messages.map(({ content }) => content)).toEqual(everything);
      expect(whole.omitted).toBe(0);
      const lastSixty = everything.slice(-60);
      const part = await store.recentMessages({ ...input, maxCharacters: lastSixty.join('').length });
      expect(part.messages.map(({ content }) => content)).toEqual(lastSixty);
      expect(part.omitted).toBe(182);
    });
  });

  describe('deleting a conversation', () => {
    it('removes all that belongs to it, names every session it used, and leaves the rest', async () => {
      const { store, query } = await open();
      const { conversation } = await exchange(store, { settle: { sessionId: 'session-a' } });
      await exchange(store, { conversationId: conversation.id, settle: { sessionId: 'session-b' } });
      const other = await exchange(store);
      for (const { id } of [conversation, other.conversation]) {
        await runOnce(store, await addTask(store, { id: `isolated-of-${id}`, conversationId: id }));
        await runOnce(store, await addTask(store, { id: `group-of-${id}`, contextMode: 'group', conversationId: id }));
        await store.addOutbound({ id: `out-${id}`, from: { conversationId: id }, text: 't', sender: null, at: tick() });
      }
      expect(await store.counts()).toEqual({ conversations: 2, tasks: 4 });
      const outcome = await store.deleteConversation(conversation.id);
      expect(outcome).toEqual({ kind: 'deleted', sessionIds: expect.arrayContaining(['session-a', 'session-b']) });
      expect(await store.counts()).toEqual({ conversations: 1, tasks: 2 });
      expect(await store.getConversation(conversation.id)).toBeNull();
      expect(await contents(store, other.conversation.id)).toHaveLength(4);
      for (const table of ['messages', 'runs', 'outbound_messages', 'scheduled_tasks']) {
        expect(query(`select * from ${table} where conversation_id = ?`, conversation.id), table).toEqual([]);
        expect(query(`select * from ${table}`), table).not.toEqual([]);
      }
      expect(query('select task_id from runs where task_id is not null order by seq')).toEqual([
        { task_id: `isolated-of-${other.conversation.id}` },
        { task_id: `group-of-${other.conversation.id}` },
      ]);
    });

    it('is refused while a run is active in it', async () => {
      const { store } = await open();
      const { conversation } = await accept(store);
      expect(await store.deleteConversation(conversation.id)).toEqual({ kind: 'busy' });
      expect(await contents(store, conversation.id)).toHaveLength(1);
    });

    it('names the transcripts that are to go until it is told that they are gone', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const other = await exchange(store);
      await store.addSession(conversation.id, 'session-begun');
      const first = await store.deleteConversation(conversation.id);
      expect(first).toMatchObject({ kind: 'deleted', sessionIds: expect.arrayContaining(['session-begun']) });
      expect(await store.getConversation(conversation.id)).toBeNull();
      expect(await store.listUnforgotten()).toEqual([
        { id: conversation.id, kind: 'conversation', sessionIds: await store.listSessions(conversation.id) },
      ]);
      expect(await store.deleteConversation(conversation.id)).toEqual(first);

      await store.forgetSessions(conversation.id, await store.listSessions(conversation.id));
      expect(await store.deleteConversation(conversation.id)).toEqual({ kind: 'not_found' });
      expect(await store.listUnforgotten()).toEqual([]);
      expect(await store.deleteConversation(other.conversation.id)).toMatchObject({ kind: 'deleted' });
    });
  });

  describe('closing', () => {
    it('is idempotent, and what comes after it is refused', async () => {
      const { store } = await open();
      await store.close();
      await store.close();
      await expect(store.counts()).rejects.toThrow();
    });
  });
}
