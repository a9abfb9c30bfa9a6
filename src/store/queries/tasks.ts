/** Making, changing, finding, listing and deleting tasks. What a claim writes (the lease, `last_…`) is no business of these. */

import type { Kysely, Transaction } from 'kysely';
import type { Page } from '../../domain/conversation.ts';
import type { Task } from '../../domain/task.ts';
import type { InsertOutcome, ListInput, UpdateOutcome } from '../store.ts';
import { deleteIfEmpty, hasConversation, insertConversation } from './conversations.ts';
import { fromCursor, toPage } from './cursor.ts';
import { fromTask, toTask } from './rows.ts';
import { deleteRunLog } from './run-log.ts';
import type { Tables } from './tables.ts';

export async function insertTask(
  trx: Transaction<Tables>,
  { task, createConversation, at }: { task: Task; createConversation: boolean; at: string },
): Promise<InsertOutcome> {
  if ((await getTask(trx, task.id)) !== null) return { kind: 'exists' };
  const { conversationId } = task;
  const madeConversation = conversationId !== null && !(await hasConversation(trx, conversationId));
  if (madeConversation) {
    if (!createConversation) return { kind: 'conversation_not_found' };
    await insertConversation(trx, { id: conversationId, created_at: at });
  }
  // PicoClaw 1.x left lines of tasks that were deleted.
  await deleteRunLog(trx, [task.id]);
  const row = await trx
    .insertInto('scheduled_tasks')
    .values((eb) => ({
      ...fromTask(task),
      id: task.id,
      created_at: task.createdAt,
      last_run: task.lastRun,
      last_result: task.lastResult,
      last_status: task.lastStatus,
      // A run that outlived an earlier task of this id has no claim to this one.
      fencing_token: eb
        .selectFrom('runs')
        .select((of) => of.fn.coalesce(of(of.fn.max('runs.task_fencing_token'), '+', 1), of.lit(0)).as('unused'))
        .where('runs.task_id', '=', task.id),
    }))
    .returningAll()
    .executeTakeFirstOrThrow();
  return { kind: 'inserted', task: toTask(row), madeConversation };
}

export async function withdrawTask(
  trx: Transaction<Tables>,
  { id, madeConversation }: { id: string; madeConversation: boolean },
): Promise<void> {
  const task = await getTask(trx, id);
  if (!(await deleteTask(trx, id)) || !madeConversation) return;
  if (task !== null && task.conversationId !== null) await deleteIfEmpty(trx, task.conversationId);
}

export async function updateTask(
  trx: Transaction<Tables>,
  { id, change, at }: { id: string; change: (task: Task) => Task; at: string },
): Promise<UpdateOutcome> {
  const before = await getTask(trx, id);
  if (before === null) return { kind: 'not_found' };
  const task = change(before);
  const { conversationId } = task;
  if (conversationId !== null && !(await hasConversation(trx, conversationId))) {
    if (task.contextMode !== 'group') return { kind: 'conversation_not_found', conversationId };
    await insertConversation(trx, { id: conversationId, created_at: at });
  }
  const row = await trx
    .updateTable('scheduled_tasks')
    .set(fromTask(task))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
  return { kind: 'updated', task: toTask(row) };
}

export async function getTask(db: Kysely<Tables>, id: string): Promise<Task | null> {
  const row = await db.selectFrom('scheduled_tasks').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : toTask(row);
}

export async function listTasks(db: Kysely<Tables>, input: ListInput): Promise<Page<Task>> {
  const before = fromCursor('tasks', input.cursor);
  const rows = await db
    .selectFrom('scheduled_tasks')
    .selectAll()
    .$if(before !== null, (query) => query.where('seq', '<', before))
    .orderBy('seq', 'desc')
    .limit(input.limit + 1)
    .execute();
  return toPage({ list: 'tasks', rows, limit: input.limit, toItem: toTask });
}

export async function deleteTask(trx: Transaction<Tables>, id: string): Promise<boolean> {
  const deleted = await trx.deleteFrom('scheduled_tasks').where('id', '=', id).returning('id').executeTakeFirst();
  if (deleted === undefined) return false;
  await deleteRunLog(trx, [id]);
  return true;
}
