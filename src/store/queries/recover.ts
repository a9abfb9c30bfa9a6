/** Ending the runs of instances that are gone. What becomes of a slot that was cut off is decided when its lease is over. */

import type { Transaction } from 'kysely';
import { detachRun } from './run-log.ts';
import type { RunRow, Tables } from './tables.ts';

export async function recoverRuns(trx: Transaction<Tables>, input: { owner: string; at: string }): Promise<number> {
  const interrupted = await trx
    .updateTable('runs')
    .set({ status: 'interrupted', ended_at: input.at })
    .where('status', '=', 'running')
    .where('owner', '!=', input.owner)
    .returningAll()
    .execute();
  for (const run of interrupted) await tellTask(trx, run);
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

async function tellTask(trx: Transaction<Tables>, run: RunRow): Promise<void> {
  if (run.task_id === null || run.task_fencing_token === null) return;
  const told = await trx
    .updateTable('scheduled_tasks')
    // All three are of one run: this one has said nothing.
    .set({ last_run: run.started_at, last_result: null, last_status: run.status })
    .where('id', '=', run.task_id)
    .where('fencing_token', '=', run.task_fencing_token)
    .returning('id')
    .executeTakeFirst();
  if (told === undefined) await detachRun(trx, run);
}
