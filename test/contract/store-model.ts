/** Any order of calls on a conversation: after each, the store says what a model of a few lines says. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { type Accepted, accept, acceptInput, contents, settleInput, tick } from '../support/store-inputs.ts';
import type { OpenStore, StoreUnderTest } from './store-contract.ts';

type Step =
  | { act: 'accept'; owner: string }
  | { act: 'settle'; seen: boolean; replies: boolean; sessionId: string; late: boolean }
  | { act: 'withdraw'; late: boolean }
  | { act: 'recover'; owner: string };

type Model = {
  conversationId: string;
  texts: string[];
  /** Questions that the session has not been told of. */
  unseen: string[];
  sessionId: string;
  token: number;
  /** The run that holds the conversation. */
  held: { run: Accepted; owner: string } | null;
  /** A run that holds it no longer. */
  ended: Accepted;
};

const owner = fc.constantFrom('instance-1', 'instance-2');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ act: fc.constant('accept' as const), owner }) },
  {
    weight: 3,
    arbitrary: fc.record({
      act: fc.constant('settle' as const),
      seen: fc.boolean(),
      replies: fc.boolean(),
      sessionId: fc.constantFrom('session-a', 'session-b'),
      late: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('withdraw' as const), late: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('recover' as const), owner }) },
);

export function storeModel(open: OpenStore): void {
  describe('any order of calls', () => {
    it('keeps the messages, what the session has seen and the one running run in step', async () => {
      const opened = await open();
      const history = fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const model = await begin(opened.store);
        for (const next of steps) {
          await apply(opened.store, model, next);
          await compare(opened, model);
        }
      });
      await fc.assert(history, { numRuns: 60 });
    });
  });
}

async function begin(store: Store): Promise<Model> {
  const first = await accept(store, { newSessionId: 'session-a' });
  const settle = settleInput(first);
  await store.settleRun(settle);
  return {
    conversationId: first.conversation.id,
    texts: [first.message.content, settle.reply?.content ?? ''],
    unseen: [],
    sessionId: 'session-a',
    token: 1,
    held: null,
    ended: first,
  };
}

async function apply(store: Store, model: Model, next: Step): Promise<void> {
  switch (next.act) {
    case 'accept':
      return applyAccept(store, model, next.owner);
    case 'settle':
      return applySettle(store, model, next);
    case 'withdraw':
      return applyWithdraw(store, model, next.late);
    case 'recover':
      await store.recoverRuns({ owner: next.owner, at: tick() });
      if (model.held !== null && model.held.owner !== next.owner) release(model);
      return;
    default:
      next satisfies never;
  }
}

async function applyAccept(store: Store, model: Model, by: string): Promise<void> {
  const outcome = await store.acceptRun(acceptInput({ conversationId: model.conversationId, owner: by }));
  expect(outcome.kind).toBe(model.held === null ? 'accepted' : 'busy');
  if (outcome.kind !== 'accepted') return;
  expect(outcome.run.fencingToken).toBe(++model.token);
  const { run, sessionId, ask, claim } = outcome;
  expect(ask.unseen.map((message) => message.content)).toEqual(model.unseen);
  model.texts.push(ask.message.content);
  model.unseen.push(ask.message.content);
  model.held = { run: { run, sessionId, claim, ...ask }, owner: by };
}

async function applySettle(store: Store, model: Model, next: Extract<Step, { act: 'settle' }>): Promise<void> {
  const run = caller(model, next.late);
  const input = settleInput(run, {
    seen: next.seen,
    sessionId: next.sessionId,
    ...(next.replies ? {} : { reply: null }),
  });
  const outcome = await store.settleRun(input);
  expect(outcome.kind).toBe(run === model.held?.run ? 'settled' : 'lost');
  if (outcome.kind === 'lost') return;
  if (input.reply !== null) model.texts.push(input.reply.content);
  if (next.seen) model.unseen = [];
  else if (next.sessionId !== model.sessionId) model.unseen = model.texts.filter((text) => text.startsWith('question'));
  model.sessionId = next.sessionId;
  release(model);
}

async function applyWithdraw(store: Store, model: Model, late: boolean): Promise<void> {
  const run = caller(model, late);
  await store.withdrawRun(run.run.id, run.run.fencingToken);
  if (run !== model.held?.run) return;
  model.texts.pop();
  model.unseen.pop();
  release(model);
}

/** A late call comes from an instance that does not know that its run has ended. */
function caller(model: Model, late: boolean): Accepted {
  return late ? model.ended : (model.held?.run ?? model.ended);
}

function release(model: Model): void {
  model.ended = model.held?.run ?? model.ended;
  model.held = null;
}

async function compare({ store, query }: StoreUnderTest, model: Model): Promise<void> {
  expect(await contents(store, model.conversationId)).toEqual(model.texts);
  expect(await store.getConversation(model.conversationId)).toMatchObject({
    messageCount: model.texts.length,
    sessionId: model.sessionId,
    status: model.held === null ? 'idle' : 'running',
  });
  expect(query(`select id from runs where status = 'running' and conversation_id = ?`, model.conversationId)).toEqual(
    model.held === null ? [] : [{ id: model.held.run.run.id }],
  );
}
