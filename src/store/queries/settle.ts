/**
 * Ending a run by the instance that holds it.
 *
 * - It leaves `running` in one guarded statement; a late second end finds nothing and says `lost`.
 * - `seen_seq` belongs to `session_id`: a session that takes the place of another has seen nothing unless the run says so.
 * - The task is written only under the run's own claim, and its schedule only while it still is what was claimed, with the
 *   slot that was run.
 */

import type { Transaction } from 'kysely';
import type { SettleOutcome, SettleRun } from '../store.ts';
import { recordSession } from './conversations.ts';
import { deliverOutbound } from './outbound.ts';
import { fromAfterRun, toRun } from './rows.ts';
import { detachRun } from './run-log.ts';
import type { RunRow, Tables } from './tables.ts';

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
      result: input.task?.result ?? null,
      ended_at: input.at,
    })
    .where('id', '=', input.runId)
    .where('status', '=', 'running')
    .where('fencing_token', '=', input.fencingToken)
    .returningAll()
    .executeTakeFirst();
  if (run === undefined) return { kind: 'lost' };
  if (run.conversation_id === null) await recordSession(trx, run.id, input.sessionId);
  else {
    await storeReply(trx, run.conversation_id, input);
    await releaseConversation(trx, run.conversation_id, input);
  }
  await releaseTask(trx, run, input);
  return { kind: 'settled', run: toRun(run), outbound: await deliverOutbound(trx, run, input.at) };
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

async function releaseTask(trx: Transaction<Tables>, run: RunRow, { task }: SettleRun): Promise<void> {
  if (run.task_id === null || run.task_fencing_token === null) return;
  const claimed = trx
    .updateTable('scheduled_tasks')
    .where('id', '=', run.task_id)
    .where('fencing_token', '=', run.task_fencing_token);
  const released = await claimed
    .set({
      lease_owner: null,
      lease_expires_at: null,
      last_run: run.started_at,
      last_result: task?.lastResult ?? null,
      last_status: run.status,
    })
    .returning('id')
    .executeTakeFirst();
  if (released === undefined) return detachRun(trx, run);
  if (run.slot === null || !task?.after) return;
  const { of, ...after } = task.after;
  await claimed
    .set(fromAfterRun(after))
    .where('next_run', '=', run.slot)
    .where('schedule_type', '=', of.scheduleType)
    .where('schedule_value', '=', of.scheduleValue)
    .where('timezone', 'is not distinct from', of.timezone)
    .execute();
}
