/**
 * Which tasks are due, when the next one is, and slots that are given up.
 *
 * However many are due, only the rows that are returned are read: all the rest is in the index `scheduled_tasks_due`, and in
 * those of the running runs.
 */

import { type ExpressionWrapper, type Kysely, type SqlBool, sql } from 'kysely';
import type { AfterRun, Task } from '../../domain/task.ts';
import { isFree, isRunning, type TaskExpressions } from './claim.ts';
import { fromAfterRun, toTask } from './rows.ts';
import type { Tables } from './tables.ts';

export async function dueTasks(
  db: Kysely<Tables>,
  { at, limit, except }: { at: string; limit: number; except: string[] },
): Promise<Task[]> {
  const first = due(db, at)
    .select('seq')
    .where((eb) => eb.not(isPlaceTaken(eb)))
    .$if(except.length > 0, (query) => query.where('id', 'not in', except))
    .orderBy('next_run')
    .orderBy('seq')
    .limit(limit);
  const rows = await db
    .selectFrom('scheduled_tasks')
    .selectAll()
    .where('seq', 'in', first)
    .orderBy('next_run')
    .orderBy('seq')
    .execute();
  return rows.map(toTask);
}

export async function countDue(db: Kysely<Tables>, at: string): Promise<number> {
  const { count } = await due(db, at)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return count;
}

/**
 * The time may have passed: a task that can run now. For one that is held up it must not have, or whoever waits for this
 * time would find that one over and over.
 */
export async function nextDueAt(
  db: Kysely<Tables>,
  { at, heldUpUntil }: { at: string; heldUpUntil: string },
): Promise<string | null> {
  const row = await db
    .selectFrom('scheduled_tasks')
    .select((eb) => {
      const whenFree = eb
        .case()
        .when(eb.and([eb('lease_expires_at', '>', at), eb('lease_expires_at', '>', eb.ref('next_run'))]))
        .then(eb.ref('lease_expires_at'))
        .when(eb.and([eb('next_run', '<=', at), eb.or([isRunning(eb), isPlaceTaken(eb)])]))
        .then(heldUpUntil)
        .else(eb.ref('next_run'))
        .end();
      return eb.fn.min<string | null>(whenFree).as('at');
    })
    .where('status', '=', 'active')
    .where('next_run', 'is not', null)
    .executeTakeFirstOrThrow();
  return row.at;
}

export async function giveUpSlot(
  db: Kysely<Tables>,
  input: { taskId: string; slot: string; lastResult: string; after: AfterRun; at: string },
): Promise<boolean> {
  const givenUp = await db
    .updateTable('scheduled_tasks')
    .set({
      ...fromAfterRun(input.after),
      last_result: input.lastResult,
      last_status: 'interrupted',
      lease_owner: null,
      lease_expires_at: null,
    })
    .where('id', '=', input.taskId)
    .where('status', '=', 'active')
    .where('next_run', '=', input.slot)
    .where((eb) => isFree(eb, input.at))
    .returning('id')
    .executeTakeFirst();
  return givenUp !== undefined;
}

function due(db: Kysely<Tables>, at: string) {
  return db
    .selectFrom('scheduled_tasks')
    .where('status', '=', 'active')
    .where('next_run', '<=', at)
    .where((eb) => isFree(eb, at));
}

/** A conversation is running exactly while it has a run that is, and of those there is a small index. */
function isPlaceTaken(eb: TaskExpressions): ExpressionWrapper<Tables, 'scheduled_tasks', SqlBool> {
  const taken = eb
    .selectFrom('runs')
    .select('runs.id')
    .whereRef('runs.conversation_id', '=', 'scheduled_tasks.conversation_id')
    .where('runs.status', '=', sql.lit('running'));
  return eb.and([eb('context_mode', '=', 'group'), eb.exists(taken)]);
}
