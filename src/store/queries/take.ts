/**
 * Taking a conversation for a run, whoever asks: a chat, or a task in its name.
 *
 * - A conversation is taken only from `idle`, in the statement that makes it `running`: of several callers one wins.
 * - `takeConversation` inserts nothing, so a caller that is refused has stored nothing.
 */

import type { Transaction } from 'kysely';
import type { AskedInConversation } from '../store.ts';
import { recordSession } from './conversations.ts';
import { userMessagesBetween } from './messages.ts';
import { toConversation, toMessage } from './rows.ts';
import type { ConversationRow, NewRunRow, RunRow, Tables } from './tables.ts';

export type Taken = {
  kind: 'taken';
  conversation: ConversationRow;
  /** The conversation's, from now on. */
  sessionId: string;
  /** What `withdrawRun` needs to put the conversation back; null where it was made for the run. */
  before: Pick<ConversationRow, 'last_activity' | 'session_id'> | null;
};

export async function takeConversation(
  trx: Transaction<Tables>,
  input: { conversationId: string; newSessionId: string; at: string },
): Promise<Taken | { kind: 'not_found' } | { kind: 'busy' }> {
  const before = await trx
    .selectFrom('conversations')
    .select(['last_activity', 'session_id'])
    .where('id', '=', input.conversationId)
    .executeTakeFirst();
  if (before === undefined) return { kind: 'not_found' };
  const sessionId = before.session_id ?? input.newSessionId;
  const conversation = await trx
    .updateTable('conversations')
    .set((eb) => ({
      status: 'running',
      session_id: sessionId,
      fencing_token: eb('fencing_token', '+', 1),
      message_count: eb('message_count', '+', 1),
      last_activity: input.at,
    }))
    .where('id', '=', input.conversationId)
    .where('status', '=', 'idle')
    .returningAll()
    .executeTakeFirst();
  return conversation === undefined ? { kind: 'busy' } : { kind: 'taken', conversation, sessionId, before };
}

export type Question = {
  runId: string;
  message: { id: string; sender: string; senderName: string; content: string };
  source: RunRow['source'];
  owner: string;
  at: string;
  /** Of a task's run. */
  claim?: ClaimColumns;
};

export type ClaimColumns = Pick<RunRow, 'task_id' | 'task_fencing_token' | 'slot' | 'attempt'>;

/** Stores the session, the message and the run in a conversation that was taken for them. */
export async function askInConversation(
  trx: Transaction<Tables>,
  { conversation, sessionId, before }: Taken,
  { runId, message, source, owner, at, claim }: Question,
): Promise<{ run: RunRow; ask: AskedInConversation }> {
  if (before?.session_id !== sessionId) await recordSession(trx, conversation.id, sessionId);
  const stored = await trx
    .insertInto('messages')
    .values({
      id: message.id,
      conversation_id: conversation.id,
      run_id: runId,
      role: 'user',
      sender: message.sender,
      sender_name: message.senderName,
      content: message.content,
      created_at: at,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  const run = await insertRun(trx, {
    id: runId,
    conversation_id: conversation.id,
    source,
    fencing_token: conversation.fencing_token,
    owner,
    user_message_id: stored.id,
    previous_activity: before?.last_activity ?? null,
    previous_session_id: before?.session_id ?? null,
    started_at: at,
    ...claim,
  });
  const unseen = await userMessagesBetween(trx, conversation.id, conversation.seen_seq, stored.seq);
  return {
    run,
    ask: {
      kind: 'conversation',
      conversation: toConversation(conversation),
      message: toMessage(stored),
      unseen: unseen.map(toMessage),
    },
  };
}

/** The columns that a run begins with. */
type Beginning = Pick<
  NewRunRow,
  | 'id'
  | 'conversation_id'
  | 'source'
  | 'fencing_token'
  | 'owner'
  | 'user_message_id'
  | 'previous_activity'
  | 'previous_session_id'
  | 'started_at'
> &
  Partial<ClaimColumns>;

export async function insertRun(trx: Transaction<Tables>, beginning: Beginning): Promise<RunRow> {
  return trx
    .insertInto('runs')
    .values({
      ...beginning,
      status: 'running',
      input_tokens: 0,
      output_tokens: 0,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      cost_usd: 0,
      num_turns: 0,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}
