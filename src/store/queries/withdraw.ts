/** Undoing an accepted run: whatever accepting or claiming it wrote is as it was before, but for the fencing tokens. */

import type { Transaction } from 'kysely';
import type { RunRow, Tables } from './tables.ts';

export async function withdrawRun(trx: Transaction<Tables>, runId: string, fencingToken: number): Promise<void> {
  const run = await trx
    .deleteFrom('runs')
    .where('id', '=', runId)
    .where('status', '=', 'running')
    .where('fencing_token', '=', fencingToken)
    .returningAll()
    .executeTakeFirst();
  if (run === undefined) return;
  await unclaimTask(trx, run);
  if (run.conversation_id === null) await forgetOwner(trx, run.id);
  else await putBack(trx, run.conversation_id, run);
}

/** A token that was given out once is never given out again: `fencing_token` stays where it is, here and below. */
async function unclaimTask(trx: Transaction<Tables>, run: RunRow): Promise<void> {
  const { task_id: taskId, task_fencing_token: token, slot } = run;
  if (taskId === null || token === null) return;
  await trx
    .updateTable('scheduled_tasks')
    .set({ lease_owner: null, lease_expires_at: null })
    .where('id', '=', taskId)
    .where('fencing_token', '=', token)
    .execute();
  if (slot === null) return;
  await trx
    .updateTable('scheduled_tasks')
    .set((eb) => ({ attempts: eb('attempts', '-', 1) }))
    .where('id', '=', taskId)
    .where('fencing_token', '=', token)
    // A schedule that was changed meanwhile has begun to count anew.
    .where('next_run', '=', slot)
    .where('attempts', '=', run.attempt)
    .execute();
}

async function putBack(trx: Transaction<Tables>, conversationId: string, run: RunRow): Promise<void> {
  const { previous_activity: previousActivity } = run;
  if (previousActivity === null) {
    await forgetOwner(trx, conversationId);
    await trx.deleteFrom('conversations').where('id', '=', conversationId).execute();
    return;
  }
  await trx.deleteFrom('messages').where('id', '=', run.user_message_id).execute();
  // A conversation that had no session has none on record either: the one that acceptance gave it was never used.
  if (run.previous_session_id === null) await forgetOwner(trx, conversationId);
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

async function forgetOwner(trx: Transaction<Tables>, ownerId: string): Promise<void> {
  await trx.deleteFrom('sessions').where('owner_id', '=', ownerId).execute();
}
