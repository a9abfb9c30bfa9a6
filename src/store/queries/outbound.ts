/**
 * Messages that the agent sends while it works, and their delivery.
 *
 * - In a conversation a message is a row, delivered with an answer; there is no conversation in an isolated run.
 * - A task's run keeps its own messages besides, for its answer and for the run log.
 */

import { sql, type Transaction } from 'kysely';
import type { OutboundMessage } from '../../domain/conversation.ts';
import type { AddOutbound } from '../store.ts';
import { hasConversation } from './conversations.ts';
import { fromSentMessages, toOutboundMessage, toSentMessages } from './rows.ts';
import type { RunRow, Tables } from './tables.ts';

export async function addOutbound(trx: Transaction<Tables>, input: AddOutbound): Promise<OutboundMessage | null> {
  const { id, text, sender, at: createdAt, from } = input;
  if ('conversationId' in from) {
    if (!(await hasConversation(trx, from.conversationId))) return null;
    const message = { id, conversationId: from.conversationId, text, sender, createdAt };
    await queue(trx, message, { runId: null });
    return message;
  }
  const run = await trx
    .selectFrom('runs')
    .selectAll()
    .where('id', '=', from.runId)
    .where('status', '=', 'running')
    .executeTakeFirst();
  if (run === undefined) return null;
  const message = { id, conversationId: run.conversation_id, text, sender, createdAt };
  await queue(trx, message, { runId: run.id });
  if (run.task_id !== null) await keepSent(trx, run.id, [...toSentMessages(run), message]);
  return message;
}

/** Oldest first: of a chat, all that its conversation had undelivered; of a task's run, those that it sent itself. */
export async function deliverOutbound(trx: Transaction<Tables>, run: RunRow, at: string): Promise<OutboundMessage[]> {
  const undelivered = trx
    .updateTable('outbound_messages')
    .set({ delivered_at: at })
    .where('delivered_at', 'is', null)
    .returningAll();
  if (run.task_id !== null) {
    await undelivered.where('run_id', '=', run.id).execute();
    return toSentMessages(run);
  }
  if (run.conversation_id === null) return [];
  const rows = await undelivered.where('conversation_id', '=', run.conversation_id).execute();
  // The statement returns its rows in any order.
  return rows.sort((a, b) => a.seq - b.seq).map(toOutboundMessage);
}

/** An isolated run's message is nowhere but with the run; once that is over, its answer has it. */
export async function withdrawOutbound(trx: Transaction<Tables>, id: string): Promise<void> {
  const removed = await trx
    .deleteFrom('outbound_messages')
    .where('id', '=', id)
    .where('delivered_at', 'is', null)
    .returning('run_id')
    .executeTakeFirst();
  const senders = await trx
    .selectFrom('runs')
    .selectAll()
    .where((eb) =>
      removed === undefined
        ? eb.and([eb('status', '=', sql.lit('running')), eb('task_id', 'is not', null)])
        : eb('id', '=', removed.run_id),
    )
    .where('outbound_messages', 'is not', null)
    .execute();
  for (const run of senders) {
    const sent = toSentMessages(run);
    const left = sent.filter((message) => message.id !== id);
    if (left.length < sent.length) await keepSent(trx, run.id, left);
  }
}

export async function undeliver(trx: Transaction<Tables>, outboundIds: string[]): Promise<void> {
  if (outboundIds.length === 0) return;
  await trx.updateTable('outbound_messages').set({ delivered_at: null }).where('id', 'in', outboundIds).execute();
}

async function queue(
  trx: Transaction<Tables>,
  { id, conversationId, text, sender, createdAt }: OutboundMessage,
  { runId }: { runId: string | null },
): Promise<void> {
  if (conversationId === null) return;
  await trx
    .insertInto('outbound_messages')
    .values({ id, conversation_id: conversationId, text, sender, created_at: createdAt, run_id: runId })
    .execute();
}

async function keepSent(trx: Transaction<Tables>, runId: string, messages: OutboundMessage[]): Promise<void> {
  await trx
    .updateTable('runs')
    .set({ outbound_messages: messages.length === 0 ? null : fromSentMessages(messages) })
    .where('id', '=', runId)
    .execute();
}
