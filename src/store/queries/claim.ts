/**
 * Claiming a task for a run, and holding the claim.
 *
 * - A task is claimed only while no run of it is `running` and no lease holds it, in the transaction that stores the run.
 * - Its conversation is taken before the first write to the task: a refusal leaves nothing behind.
 */

import { type ExpressionBuilder, type ExpressionWrapper, type SqlBool, sql, type Transaction } from 'kysely';
import type { AcceptedRun, ClaimOutcome, ClaimTask, TaskClaim } from '../store.ts';
import { recordSession } from './conversations.ts';
import { toRun, toTask } from './rows.ts';
import type { RunRow, Tables, TaskRow } from './tables.ts';
import { askInConversation, insertRun, type Taken, takeConversation } from './take.ts';

export async function claimTask(trx: Transaction<Tables>, input: ClaimTask): Promise<ClaimOutcome> {
  const { taskId, slot, at } = input;
  const found = await trx
    .selectFrom('scheduled_tasks')
    .selectAll()
    .select((eb) => isFree(eb, at).as('free'))
    .where('id', '=', taskId)
    .executeTakeFirst();
  if (found === undefined) return { kind: 'not_found' };
  if (!found.free) return { kind: 'task_busy' };
  if (slot !== null && !(found.status === 'active' && found.next_run === slot)) return { kind: 'not_due' };
  const taken = found.context_mode === 'group' ? await takePlace(trx, found, input) : null;
  if (taken?.kind === 'conversation_busy') return taken;

  const row = await trx
    .updateTable('scheduled_tasks')
    .set((eb) => ({
      attempts: eb('attempts', '+', slot === null ? 0 : 1),
      fencing_token: eb('fencing_token', '+', 1),
      lease_owner: input.owner,
      lease_expires_at: input.leaseExpiresAt,
    }))
    .where('id', '=', taskId)
    .where('fencing_token', '=', found.fencing_token)
    .returningAll()
    .executeTakeFirstOrThrow();
  const task = toTask(row);
  const claim = { task, slot, attempt: slot === null ? 1 : task.attempts, fencingToken: row.fencing_token };
  const asked = taken === null ? await askAlone(trx, input, claim) : await askThere(trx, input, claim, taken);
  return { kind: 'accepted', ...asked, claim };
}

/** The claim is its run's as long as that is `running`: nobody else can claim the task, even one that was made anew. */
export async function renewLease(
  trx: Transaction<Tables>,
  claim: { taskId: string; fencingToken: number; expiresAt: string },
): Promise<boolean> {
  const holder = await trx
    .selectFrom('runs')
    .select('id')
    .where('task_id', '=', claim.taskId)
    .where('task_fencing_token', '=', claim.fencingToken)
    .where('status', '=', 'running')
    .executeTakeFirst();
  if (holder === undefined) return false;
  await trx
    .updateTable('scheduled_tasks')
    .set({ lease_expires_at: claim.expiresAt })
    .where('id', '=', claim.taskId)
    .where('fencing_token', '=', claim.fencingToken)
    .execute();
  return true;
}

export type TaskExpressions = ExpressionBuilder<Tables, 'scheduled_tasks'>;

/** Nobody runs it, and no run that was cut off may still be at it. */
export function isFree(eb: TaskExpressions, at: string): ExpressionWrapper<Tables, 'scheduled_tasks', SqlBool> {
  return eb.and([eb.or([eb('lease_expires_at', 'is', null), eb('lease_expires_at', '<=', at)]), eb.not(isRunning(eb))]);
}

export function isRunning(eb: TaskExpressions): ExpressionWrapper<Tables, 'scheduled_tasks', SqlBool> {
  return eb.exists(
    eb
      .selectFrom('runs')
      .select('runs.id')
      .whereRef('runs.task_id', '=', 'scheduled_tasks.id')
      // Written out, or SQLite does not use the index of the running ones.
      .where('runs.status', '=', sql.lit('running')),
  );
}

async function takePlace(
  trx: Transaction<Tables>,
  task: TaskRow,
  { newSessionId, at }: ClaimTask,
): Promise<Taken | { kind: 'conversation_busy'; conversationId: string }> {
  const { conversation_id: conversationId } = task;
  // The schema rules out both this and a conversation that is not there.
  if (conversationId === null) throw new Error(`task ${task.id} is to run in a conversation, and has none`);
  const taken = await takeConversation(trx, { conversationId, newSessionId, at });
  if (taken.kind === 'not_found') throw new Error(`the conversation ${conversationId} of task ${task.id} is not there`);
  return taken.kind === 'busy' ? { kind: 'conversation_busy', conversationId } : taken;
}

type Asked = Pick<AcceptedRun, 'run' | 'sessionId' | 'ask'>;

async function askThere(trx: Transaction<Tables>, input: ClaimTask, claim: TaskClaim, taken: Taken): Promise<Asked> {
  const { id, sender, senderName, render } = input.message;
  const { run, ask } = await askInConversation(trx, taken, {
    runId: input.runId,
    message: { id, sender, senderName, content: render(claim) },
    source: sourceOf(claim),
    owner: input.owner,
    at: input.at,
    claim: toColumns(claim),
  });
  return { run: toRun(run), sessionId: taken.sessionId, ask };
}

async function askAlone(trx: Transaction<Tables>, input: ClaimTask, claim: TaskClaim): Promise<Asked> {
  const text = input.message.render(claim);
  await recordSession(trx, input.runId, input.newSessionId);
  const run = await insertRun(trx, {
    id: input.runId,
    conversation_id: null,
    source: sourceOf(claim),
    fencing_token: claim.fencingToken,
    owner: input.owner,
    user_message_id: null,
    started_at: input.at,
    ...toColumns(claim),
  });
  return { run: toRun(run), sessionId: input.newSessionId, ask: { kind: 'alone', messageId: input.message.id, text } };
}

function sourceOf(claim: TaskClaim): RunRow['source'] {
  return claim.slot === null ? 'task_trigger' : 'task_check';
}

function toColumns({ task, slot, attempt, fencingToken }: TaskClaim) {
  return { task_id: task.id, task_fencing_token: fencingToken, slot, attempt };
}
