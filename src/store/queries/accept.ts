/** Accepting a chat request: in the conversation it names, or in a new one. A refusal leaves nothing behind. */

import type { Transaction } from 'kysely';
import type { AcceptOutcome, AcceptRun } from '../store.ts';
import { insertConversation } from './conversations.ts';
import { toRun } from './rows.ts';
import type { Tables } from './tables.ts';
import { askInConversation, type Taken, takeConversation } from './take.ts';

export async function acceptRun(trx: Transaction<Tables>, input: AcceptRun): Promise<AcceptOutcome> {
  const { conversationId, newSessionId, at } = input;
  const taken =
    conversationId === null
      ? await beginConversation(trx, input)
      : await takeConversation(trx, { conversationId, newSessionId, at });
  if (taken.kind !== 'taken') return taken;
  const { run, ask } = await askInConversation(trx, taken, {
    runId: input.runId,
    message: input.message,
    source: 'chat',
    owner: input.owner,
    at,
  });
  return {
    kind: 'accepted',
    run: toRun(run),
    sessionId: taken.sessionId,
    ask,
    claim: null,
  };
}

async function beginConversation(trx: Transaction<Tables>, input: AcceptRun): Promise<Taken> {
  const conversation = await insertConversation(trx, {
    id: input.newConversationId,
    session_id: input.newSessionId,
    created_at: input.at,
    message_count: 1,
    status: 'running',
    fencing_token: 1,
  });
  return { kind: 'taken', conversation, sessionId: input.newSessionId, before: null };
}
