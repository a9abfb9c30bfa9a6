/** Which tasks are due, when the next one is, and slots that are given up. */

import type { Kysely } from 'kysely';
import type { AfterRun, Task } from '../../domain/task.ts';
import { isFree, isRunning } from './claim.ts';
import { fromAfterRun, toTask } from './rows.ts';
import type { Tables } from './tables.ts';

export async function dueTasks(db: Kysely<Tables>, at: string): Promise<Task[]> {
  const rows = await db
    .selectFrom('scheduled_tasks')
    .selectAll()
    .where('status', '=', 'active')
    .where('next_run', '<=', at)
    .where((eb) => isFree(eb, at))
    .orderBy('next_run')
    .orderBy('seq')
    .execute();
  return rows.map(toTask);
}

/**
 * The time may have passed: a task that is due now. One that runs although its lease is over is left out until its run
 * ends, or whoever waits for this time would find it over and over.
 */
export async function nextDueAt(db: Kysely<Tables>, at: string): Promise<string | null> {
  const row = await db
    .selectFrom('scheduled_tasks')
    .select((eb) => {
      const whenFree = eb
        .case()
        .when(eb.and([eb('lease_expires_at', '>', at), eb('lease_expires_at', '>', eb.ref('next_run'))]))
        .then(eb.ref('lease_expires_at'))
        .else(eb.ref('next_run'))
        .end();
      return eb.fn.min<string | null>(whenFree).as('at');
    })
    .where('status', '=', 'active')
    .where('next_run', 'is not', null)
    .where((eb) => eb.or([eb('next_run', '>', at), eb('lease_expires_at', '>', at), eb.not(isRunning(eb))]))
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
