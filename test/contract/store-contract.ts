/**
 * What every store keeps, whatever database is under it. `create` opens an empty one on real storage.
 */

import { describe, expect, it, onTestFinished } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { InvalidCursor, type Store } from '../../src/store/store.ts';
import { accept, acceptInput, contents, exchange, settleInput, tick } from './store-inputs.ts';

export type StoreUnderTest = {
  store: Store;
  /** For rows that no method of the port writes yet, and for a look behind the port. */
  query(statement: string, ...values: (string | number | null)[]): Record<string, unknown>[];
};

export function storeContract(name: string, create: () => Promise<StoreUnderTest>): void {
  const open = async (): Promise<StoreUnderTest> => {
    const opened = await create();
    onTestFinished(() => opened.store.close());
    return opened;
  };

  describe(`${name}: accepting a run`, () => {
    it('creates a conversation, takes it, and stores message and run', async () => {
      const { store } = await open();
      const input = acceptInput({ text: 'hello' });
      const outcome = await store.acceptRun(input);
      expect(outcome).toEqual({
        kind: 'accepted',
        conversation: {
          id: input.newConversationId,
          sessionId: input.newSessionId,
          createdAt: input.at,
          lastActivity: input.at,
          messageCount: 1,
          status: 'running',
        },
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

  describe(`${name}: withdrawing a run`, () => {
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

  describe(`${name}: settling a run`, () => {
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

  describe(`${name}: what a session has seen`, () => {
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

  describe(`${name}: outbound messages`, () => {
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

  describe(`${name}: recovering runs`, () => {
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

  describe(`${name}: lists`, () => {
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

  describe(`${name}: recent messages`, () => {
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

  describe(`${name}: deleting a conversation`, () => {
    it('removes all that belongs to it, names every session it used, and leaves the rest', async () => {
      const { store, query } = await open();
      const { conversation } = await exchange(store, { settle: { sessionId: 'session-a' } });
      await exchange(store, { conversationId: conversation.id, settle: { sessionId: 'session-b' } });
      const other = await exchange(store);
      for (const { id } of [conversation, other.conversation]) {
        query(
          `insert into scheduled_tasks (id, conversation_id, prompt, schedule_type, schedule_value, context_mode, status, created_at)
           values (?, ?, 'p', 'cron', '* * * * *', 'group', 'active', ?)`,
          `task-of-${id}`,
          id,
          tick(),
        );
        query(
          `insert into task_run_logs (id, task_id, run_at, duration_ms, status) values (?, ?, ?, 1, 'success')`,
          `log-of-${id}`,
          `task-of-${id}`,
          tick(),
        );
        query(
          `insert into outbound_messages (id, conversation_id, text, created_at) values (?, ?, 't', ?)`,
          `out-of-${id}`,
          id,
          tick(),
        );
      }
      expect(await store.counts()).toEqual({ conversations: 2, tasks: 2 });
      const outcome = await store.deleteConversation(conversation.id);
      expect(outcome).toEqual({ kind: 'deleted', sessionIds: expect.arrayContaining(['session-a', 'session-b']) });
      expect(await store.counts()).toEqual({ conversations: 1, tasks: 1 });
      expect(await store.getConversation(conversation.id)).toBeNull();
      expect(await contents(store, other.conversation.id)).toHaveLength(2);
      for (const table of ['messages', 'runs', 'outbound_messages', 'scheduled_tasks']) {
        expect(query(`select * from ${table} where conversation_id = ?`, conversation.id), table).toEqual([]);
        expect(query(`select * from ${table}`), table).not.toEqual([]);
      }
      expect(query('select task_id from task_run_logs')).toEqual([{ task_id: `task-of-${other.conversation.id}` }]);
    });

    it('is refused while a run is active in it', async () => {
      const { store } = await open();
      const { conversation } = await accept(store);
      expect(await store.deleteConversation(conversation.id)).toEqual({ kind: 'busy' });
      expect(await contents(store, conversation.id)).toHaveLength(1);
    });

    it('happens once', async () => {
      const { store } = await open();
      const { conversation } = await exchange(store);
      const outcomes = await Promise.all([
        store.deleteConversation(conversation.id),
        store.deleteConversation(conversation.id),
      ]);
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(['deleted', 'not_found']);
    });
  });

  describe(`${name}: closing`, () => {
    it('is idempotent, and what comes after it is refused', async () => {
      const { store } = await open();
      await store.close();
      await store.close();
      await expect(store.counts()).rejects.toThrow();
    });
  });
}
