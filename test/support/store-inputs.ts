/** Inputs of the store with everything filled in that a test does not care about. */

import { noUsage } from '../../src/domain/run.ts';
import type { AcceptOutcome, AcceptRun, SettleRun, Store } from '../../src/store/store.ts';

export type Accepted = Extract<AcceptOutcome, { kind: 'accepted' }>;

let counter = 0;

/** Later than every one before, a second apart, so that order shows. */
export function tick(): string {
  return new Date(Date.UTC(2030, 0, 1) + ++counter * 1000).toISOString();
}

export function acceptInput(input: Partial<AcceptRun> & { text?: string } = {}): AcceptRun {
  const { text, ...rest } = input;
  const n = ++counter;
  return {
    runId: `run-${n}`,
    source: 'chat',
    conversationId: null,
    newConversationId: `conv-${n}`,
    newSessionId: `session-${n}`,
    message: { id: `msg-${n}`, sender: 'ada', senderName: 'Ada', content: text ?? `question ${n}` },
    owner: 'instance-1',
    at: tick(),
    ...rest,
  };
}

export function settleInput(accepted: Accepted, input: Partial<SettleRun> & { text?: string } = {}): SettleRun {
  const { text, ...rest } = input;
  const n = ++counter;
  return {
    runId: accepted.run.id,
    fencingToken: accepted.run.fencingToken,
    status: 'success',
    reply: { id: `msg-${n}`, sender: 'Pico', senderName: 'Pico', content: text ?? `answer ${n}` },
    error: null,
    sessionId: accepted.conversation.sessionId ?? 'session-none',
    seen: true,
    model: 'claude-test',
    usage: noUsage,
    costUsd: 0,
    numTurns: 1,
    at: tick(),
    ...rest,
  };
}

export async function accept(store: Store, input: Parameters<typeof acceptInput>[0] = {}): Promise<Accepted> {
  const outcome = await store.acceptRun(acceptInput(input));
  if (outcome.kind !== 'accepted') throw new Error(`expected the run to be accepted, it is ${outcome.kind}`);
  return outcome;
}

/** One question and its answer; a conversation of its own unless one is named. */
export async function exchange(
  store: Store,
  input: { conversationId?: string | null; settle?: Parameters<typeof settleInput>[1] } = {},
): Promise<Accepted> {
  const accepted = await accept(store, { conversationId: input.conversationId ?? null });
  await store.settleRun(settleInput(accepted, input.settle));
  return accepted;
}

export async function contents(store: Store, conversationId: string): Promise<string[]> {
  const page = await store.listMessages(conversationId, { limit: 200, cursor: null });
  return page?.items.map((message) => message.content) ?? [];
}
