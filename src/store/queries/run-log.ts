/**
 * The run log of a task: the runs that are its.
 *
 * - A run under way is never removed.
 * - A run whose task was deleted meanwhile leaves the log when it is over, so that a task that was made anew under the same
 *   id never gets the line of another. Until then the line shows there what keeps the new one busy.
 */

import { sql, type Transaction } from 'kysely';
import type { Page } from '../../domain/conversation.ts';
import type { TaskRun } from '../../domain/task.ts';
import type { ListInput } from '../store.ts';
import { fromCursor, toPage } from './cursor.ts';
import { toTaskRun } from './rows.ts';
import type { RunRow, Tables } from './tables.ts';

export async function listTaskRuns(
  trx: Transaction<Tables>,
  taskId: string,
  input: ListInput,
): Promise<Page<TaskRun> | null> {
  const list = `task_runs/${taskId}`;
  const before = fromCursor(list, input.cursor);
  const task = await trx.selectFrom('scheduled_tasks').select('id').where('id', '=', taskId).executeTakeFirst();
  if (task === undefined) return null;
  const rows = await trx
    .selectFrom('runs')
    .selectAll()
    .where('task_id', '=', taskId)
    .$if(before !== null, (query) => query.where('seq', '<', before))
    .orderBy('seq', 'desc')
    .limit(input.limit + 1)
    .execute();
  return toPage({ list, rows, limit: input.limit, toItem: (row) => toTaskRun(taskId, row) });
}

export async function deleteRunLog(trx: Transaction<Tables>, taskIds: string[]): Promise<void> {
  for (const taskId of taskIds)
    await trx.deleteFrom('runs').where('task_id', '=', taskId).where('status', '!=', 'running').execute();
}

/** Of a run that is over and has no task any more. Nobody could read an isolated one: it goes. Its sessions stay on record. */
export async function detachRun(trx: Transaction<Tables>, run: RunRow): Promise<void> {
  if (run.conversation_id === null) await trx.deleteFrom('runs').where('id', '=', run.id).execute();
  else await trx.updateTable('runs').set({ task_id: null }).where('id', '=', run.id).execute();
}

export async function prune(
  trx: Transaction<Tables>,
  input: { taskRunsKept: number; outboundBefore: string },
): Promise<{ runs: number; outbound: number }> {
  const numbered = trx
    .selectFrom('runs')
    .select(['seq', sql<number>`row_number() over (partition by task_id order by seq desc)`.as('line')])
    .where('task_id', 'is not', null)
    .as('numbered');
  const runs = await trx
    .deleteFrom('runs')
    .where('status', '!=', 'running')
    .where((eb) =>
      eb.or([
        eb('seq', 'in', eb.selectFrom(numbered).select('numbered.seq').where('line', '>', input.taskRunsKept)),
        // A line of PicoClaw 1.x whose task was gone is in no list.
        eb.and([
          eb('conversation_id', 'is', null),
          eb('task_id', 'not in', eb.selectFrom('scheduled_tasks').select('scheduled_tasks.id')),
        ]),
      ]),
    )
    .executeTakeFirstOrThrow();
  const outbound = await trx
    .deleteFrom('outbound_messages')
    .where('created_at', '<', input.outboundBefore)
    .executeTakeFirstOrThrow();
  return { runs: Number(runs.numDeletedRows), outbound: Number(outbound.numDeletedRows) };
}
