/**
 * Taking a conversation for a run, and undoing that.
 *
 * - A conversation is taken only from `idle`, in the statement that makes it `running`: of several callers one wins.
 * - A refusal comes before the first insert, so it leaves nothing behind.
 */

import type { Transaction } from 'kysely';
import type { AcceptOutcome, AcceptRun } from '../store.ts';
import { recordSession } from './conversations.ts';
import { userMessagesBetween } from './messages.ts';
import { toConversation, toMessage, toRun } from './rows.ts';
import type { ConversationRow, Tables } from './tables.ts';

export async function acceptRun(trx: Transaction<Tables>, input: AcceptRun): Promise<AcceptOutcome> {
  const taken = await takeConversation(trx, input);
  if (taken.kind !== 'taken') return taken;
  const { conversation, before } = taken;
  if (conversation.session_id !== null && before?.session_id !== conversation.session_id)
    await recordSession(trx, conversation.id, conversation.session_id);
  const message = await trx
    .insertInto('messages')
    .values({
      id: input.message.id,
      conversation_id: conversation.id,
      run_id: input.runId,
      role: 'user',
      sender: input.message.sender,
      sender_name: input.message.senderName,
      content: input.message.content,
      created_at: input.at,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const run = await trx
    .insertInto('runs')
    .values({
      id: input.runId,
      conversation_id: conversation.id,
      source: input.source,
      status: 'running',
      fencing_token: conversation.fencing_token,
      owner: input.owner,
      user_message_id: message.id,
      previous_activity: before?.last_activity ?? null,
      previous_session_id: before?.session_id ?? null,
      input_tokens: 0,
      output_tokens: 0,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      cost_usd: 0,
      num_turns: 0,
      started_at: input.at,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const unseen = await userMessagesBetween(trx, conversation.id, conversation.seen_seq, message.seq);
  return {
    kind: 'accepted',
    conversation: toConversation(conversation),
    run: toRun(run),
    message: toMessage(message),
    sessionId: conversation.session_id ?? input.newSessionId,
    unseen: unseen.map(toMessage),
  };
}

export async function withdrawRun(trx: Transaction<Tables>, runId: string, fencingToken: number): Promise<void> {
  const run = await trx
    .deleteFrom('runs')
    .where('id', '=', runId)
    .where('status', '=', 'running')
    .where('fencing_token', '=', fencingToken)
    .returning(['conversation_id', 'user_message_id', 'previous_activity', 'previous_session_id'])
    .executeTakeFirst();
  if (run === undefined) return;
  const { conversation_id: conversationId, previous_activity: previousActivity } = run;
  if (previousActivity === null) {
    await trx.deleteFrom('sessions').where('conversation_id', '=', conversationId).execute();
    await trx.deleteFrom('conversations').where('id', '=', conversationId).execute();
    return;
  }
  await trx.deleteFrom('messages').where('id', '=', run.user_message_id).execute();
  // A conversation that had no session has none on record either: the one that acceptance gave it was never used.
  if (run.previous_session_id === null)
    await trx.deleteFrom('sessions').where('conversation_id', '=', conversationId).execute();
  // The fencing token stays where it is: a token that was given out once is never given out again.
  await trx
    .updateTable('conversations')
    .set((eb) => ({
      status: 'idle',
      session_id: run.previous_session_id,
      last_activity: previousActivity,
      message_count: eb('message_count', '-', 1),
    }))
    .where('id', '=', conversationId)
    .execute();
}

type Taken =
  | { kind: 'taken'; conversation: ConversationRow; before: Before | null }
  | { kind: 'not_found' }
  | { kind: 'busy' };

/** What `withdrawRun` needs to put a conversation back. */
type Before = Pick<ConversationRow, 'last_activity' | 'session_id'>;

async function takeConversation(trx: Transaction<Tables>, input: AcceptRun): Promise<Taken> {
  if (input.conversationId === null) return { kind: 'taken', conversation: await create(trx, input), before: null };
  const before = await trx
    .selectFrom('conversations')
    .select(['last_activity', 'session_id'])
    .where('id', '=', input.conversationId)
    .executeTakeFirst();
  if (before === undefined) return { kind: 'not_found' };
  const conversation = await trx
    .updateTable('conversations')
    .set((eb) => ({
      status: 'running',
      session_id: before.session_id ?? input.newSessionId,
      fencing_token: eb('fencing_token', '+', 1),
      message_count: eb('message_count', '+', 1),
      last_activity: input.at,
    }))
    .where('id', '=', input.conversationId)
    .where('status', '=', 'idle')
    .returningAll()
    .executeTakeFirst();
  return conversation === undefined ? { kind: 'busy' } : { kind: 'taken', conversation, before };
}

async function create(trx: Transaction<Tables>, input: AcceptRun): Promise<ConversationRow> {
  return trx
    .insertInto('conversations')
    .values({
      id: input.newConversationId,
      session_id: input.newSessionId,
      created_at: input.at,
      last_activity: input.at,
      message_count: 1,
      status: 'running',
      fencing_token: 1,
      seen_seq: 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}
