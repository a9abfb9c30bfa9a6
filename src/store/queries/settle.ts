/**
 * Ending runs: by the instance that holds them, or by recovery when their instance is gone.
 *
 * - Whoever ends a run changes it from `running` in one guarded statement; a late second end finds nothing and says `lost`.
 * - `seen_seq` belongs to `session_id`: a session that takes the place of another has seen nothing unless the run says so.
 */

import type { Transaction } from 'kysely';
import type { SettleOutcome, SettleRun } from '../store.ts';
import { recordSession } from './conversations.ts';
import { toOutboundMessage, toRun } from './rows.ts';
import type { OutboundRow, Tables } from './tables.ts';

export async function settleRun(trx: Transaction<Tables>, input: SettleRun): Promise<SettleOutcome> {
  const run = await trx
    .updateTable('runs')
    .set({
      status: input.status,
      assistant_message_id: input.reply?.id ?? null,
      model: input.model,
      error: input.error === null ? null : JSON.stringify(input.error),
      input_tokens: input.usage.inputTokens,
      output_tokens: input.usage.outputTokens,
      cache_read_input_tokens: input.usage.cacheReadInputTokens,
      cache_creation_input_tokens: input.usage.cacheCreationInputTokens,
      cost_usd: input.costUsd,
      num_turns: input.numTurns,
      ended_at: input.at,
    })
    .where('id', '=', input.runId)
    .where('status', '=', 'running')
    .where('fencing_token', '=', input.fencingToken)
    .returningAll()
    .executeTakeFirst();
  if (run === undefined) return { kind: 'lost' };
  await storeReply(trx, run.conversation_id, input);
  await releaseConversation(trx, run.conversation_id, input);
  const outbound = await deliverOutbound(trx, run.conversation_id, input.at);
  return { kind: 'settled', run: toRun(run), outbound: outbound.map(toOutboundMessage) };
}

export async function undeliver(trx: Transaction<Tables>, outboundIds: string[]): Promise<void> {
  if (outboundIds.length === 0) return;
  await trx.updateTable('outbound_messages').set({ delivered_at: null }).where('id', 'in', outboundIds).execute();
}

export async function recoverRuns(trx: Transaction<Tables>, input: { owner: string; at: string }): Promise<number> {
  const interrupted = await trx
    .updateTable('runs')
    .set({ status: 'interrupted', ended_at: input.at })
    .where('status', '=', 'running')
    .where('owner', '!=', input.owner)
    .returning('id')
    .execute();
  // By what is left running, not by the rows above: a conversation must be idle whenever no run of it is.
  await trx
    .updateTable('conversations')
    .set({ status: 'idle' })
    .where('status', '=', 'running')
    .where((eb) =>
      eb.not(
        eb.exists(
          eb
            .selectFrom('runs')
            .select('runs.id')
            .whereRef('runs.conversation_id', '=', 'conversations.id')
            .where('runs.status', '=', 'running'),
        ),
      ),
    )
    .execute();
  return interrupted.length;
}

async function storeReply(trx: Transaction<Tables>, conversationId: string, input: SettleRun): Promise<void> {
  if (input.reply === null) return;
  await trx
    .insertInto('messages')
    .values({
      id: input.reply.id,
      conversation_id: conversationId,
      run_id: input.runId,
      role: 'assistant',
      sender: input.reply.sender,
      sender_name: input.reply.senderName,
      content: input.reply.content,
      created_at: input.at,
    })
    .execute();
}

async function releaseConversation(trx: Transaction<Tables>, conversationId: string, input: SettleRun): Promise<void> {
  const before = await trx
    .selectFrom('conversations')
    .select(['session_id', 'seen_seq'])
    .where('id', '=', conversationId)
    .executeTakeFirstOrThrow();
  if (before.session_id !== input.sessionId) await recordSession(trx, conversationId, input.sessionId);
  const unseenFrom = before.session_id === input.sessionId ? before.seen_seq : 0;
  await trx
    .updateTable('conversations')
    .set((eb) => ({
      status: 'idle',
      session_id: input.sessionId,
      last_activity: input.at,
      message_count: eb('message_count', '+', input.reply === null ? 0 : 1),
      seen_seq: input.seen
        ? eb
            .selectFrom('messages')
            .select((of) => of.fn.coalesce(of.fn.max<number>('messages.seq'), of.lit(0)).as('newest'))
            .where('messages.conversation_id', '=', conversationId)
        : unseenFrom,
    }))
    .where('id', '=', conversationId)
    .where('fencing_token', '=', input.fencingToken)
    .execute();
}

/** Oldest first, whatever order the statement returns its rows in. */
async function deliverOutbound(trx: Transaction<Tables>, conversationId: string, at: string): Promise<OutboundRow[]> {
  const rows = await trx
    .updateTable('outbound_messages')
    .set({ delivered_at: at })
    .where('conversation_id', '=', conversationId)
    .where('delivered_at', 'is', null)
    .returningAll()
    .execute();
  return rows.sort((a, b) => a.seq - b.seq);
}
