/**
 * Changes a task.
 *
 * - A new schedule begins anew, and reactivates a task that was completed; any other change leaves `next_run` alone.
 * - A task that is resumed after its time continues with the next slot; a `once` is then due at once.
 */

import { invalidRequest } from '../domain/invalid-request.ts';
import { conversationNotFound, type FieldError, taskNotFound } from '../domain/problem.ts';
import { nextSlot } from '../domain/schedule.ts';
import { scheduleOf, type Task } from '../domain/task.ts';
import { makeDurable, type TaskDeps } from './deps.ts';
import { type Place, placeFaults, promptFaults, scheduled, zoneFaults } from './rules.ts';

export type TaskChanges = Partial<
  Pick<
    Task,
    | 'prompt'
    | 'scheduleType'
    | 'scheduleValue'
    | 'contextMode'
    | 'conversationId'
    | 'timezone'
    | 'model'
    | 'maxExecutionMs'
    | 'maxAttempts'
    | 'status'
  >
>;

/** Rejects with a `Problem`: 400, 404, 503 when the change may not survive. */
export async function updateTask(deps: TaskDeps, input: { id: string; changes: TaskChanges }): Promise<Task> {
  const { id, changes } = input;
  const at = deps.clock.now();
  const place = { now: at, timezone: deps.settings.timezone };
  const updated = await deps.store.updateTask({ id, at, change: (task) => changeTask(task, changes, place) });
  if (updated.kind === 'not_found') throw taskNotFound(id);
  if (updated.kind === 'conversation_not_found') throw conversationNotFound(updated.conversationId);
  await makeDurable(deps, id, 'the change could not be written to the persistent volume; send it again');
  return updated.task;
}

/** Only what is changed is checked: PicoClaw 1.x may have left other things that are not valid. Throws `invalid_request`. */
export function changeTask(task: Task, changes: TaskChanges, place: Place): Task {
  const { status = task.status, ...fields } = changes;
  const changed: Task = { ...task, ...fields };
  const faults: FieldError[] = [];
  if ('prompt' in changes) faults.push(...promptFaults(changed));
  if ('contextMode' in changes || 'conversationId' in changes) faults.push(...placeFaults(changed));
  if ('timezone' in changes) faults.push(...zoneFaults(changed));

  const isRescheduled = hasOtherSchedule(task, changed);
  const again = isRescheduled || isRevived(task, status) ? scheduled(changed, place) : { task: changed, faults: [] };
  faults.push(...again.faults);
  if (faults.length > 0) throw invalidRequest(faults);

  if (isRescheduled)
    return withStatus(again.task, status === 'completed' && !('status' in changes) ? 'active' : status);
  if (isRevived(task, status)) {
    if (task.scheduleType === 'once' && isPast(again.task, place.now)) throw invalidRequest([pastFault(task)]);
    return withStatus(again.task, status);
  }
  return withStatus(task.status === 'paused' && status === 'active' ? resumed(changed, place) : changed, status);
}

/** A completed task, or one that a fault left without a next time, is to run again by the schedule that it has. */
function isRevived(task: Task, status: Task['status']): boolean {
  return task.nextRun === null && status === 'active';
}

function hasOtherSchedule(before: Task, after: Task): boolean {
  if (before.scheduleType !== after.scheduleType || before.scheduleValue !== after.scheduleValue) return true;
  // An interval has no wall clock.
  return before.timezone !== after.timezone && after.scheduleType !== 'interval';
}

function withStatus(task: Task, status: Task['status']): Task {
  return { ...task, status, nextRun: status === 'completed' ? null : task.nextRun };
}

function resumed(task: Task, { now, timezone }: Place): Task {
  if (task.nextRun === null || !isPast(task, now)) return task;
  const next = nextSlot(scheduleOf(task, timezone), { slot: task.nextRun, now });
  switch (next.kind) {
    case 'slot':
      return { ...task, nextRun: next.at, attempts: 0 };
    case 'none':
      return task;
    case 'invalid':
      throw invalidRequest([
        { path: 'schedule_value', message: `${next.message}; the task needs another one to go on` },
      ]);
    default:
      return next satisfies never;
  }
}

function isPast(task: Task, now: string): boolean {
  return task.nextRun !== null && task.nextRun <= now;
}

function pastFault({ scheduleValue }: Task): FieldError {
  return {
    path: 'status',
    message: `must not be "active" again: the one time of the task, ${scheduleValue}, is past; give a new schedule_value, or trigger it`,
  };
}
