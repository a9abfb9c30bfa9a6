/**
 * Changes a task.
 *
 * - A new schedule begins anew, and reactivates a task that was completed; any other change leaves `next_run` alone. What
 *   is given as it was is no change: a client may send back all that it was told.
 * - A task that is resumed after its time continues with the next slot; a `once` is then due at once.
 */

import { invalidRequest } from '../domain/invalid-request.ts';
import { conversationNotFound, type FieldError, taskNotFound } from '../domain/problem.ts';
import { nextSlot } from '../domain/schedule.ts';
import { scheduleOf, type Task } from '../domain/task.ts';
import { toTimezone } from '../domain/timezone.ts';
import { durably } from '../lib/durable.ts';
import type { TaskDeps } from './deps.ts';
import { type Here, placeFaults, promptFaults, scheduled, withKnownZone, zoneFaults } from './rules.ts';

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
  const here = { now: at, timezone: deps.settings.timezone };
  const updated = await deps.store.updateTask({ id, at, change: (task) => changeTask(task, changes, here) });
  if (updated.kind === 'not_found') throw taskNotFound(id);
  if (updated.kind === 'conversation_not_found') throw conversationNotFound(updated.conversationId);
  const refused = 'the change could not be written to the persistent volume; send it again';
  await durably(() => deps.volume.sync(), refused, { taskId: id });
  return updated.task;
}

/** Only what is changed is checked: PicoClaw 1.x may have left other things that are not valid. Throws `invalid_request`. */
function changeTask(task: Task, changes: TaskChanges, here: Here): Task {
  const { status = task.status, ...fields } = changes;
  const changed = withKnownZone({ ...task, ...fields });
  const faults: FieldError[] = [];
  if ('prompt' in changes) faults.push(...promptFaults(changed));
  if ('contextMode' in changes || 'conversationId' in changes) faults.push(...placeFaults(changed));
  if ('timezone' in changes) faults.push(...zoneFaults(changed));

  const isRescheduled = hasOtherSchedule(task, changed, here);
  // It is to run again by the schedule that it has: a completed task, or one that a fault left without a next time.
  const isRevived = changes.status === 'active' && task.nextRun === null && !isRescheduled;
  const again = isRescheduled || isRevived ? scheduled(changed, here) : { task: changed, faults: [] };
  faults.push(...again.faults);
  if (isRescheduled || isRevived) faults.push(...usedUpFaults(task, again.task, here));
  if (status === 'paused' && task.status === 'completed' && !isRescheduled) faults.push(noTimeLeft);
  if (faults.length > 0) throw invalidRequest(faults);

  if (isRescheduled)
    return withStatus(again.task, status === 'completed' && changes.status === undefined ? 'active' : status);
  if (isRevived) return withStatus(again.task, status);
  return withStatus(task.status === 'paused' && status === 'active' ? resumed(changed, here) : changed, status);
}

function hasOtherSchedule(before: Task, after: Task, { timezone }: Here): boolean {
  if (before.scheduleType !== after.scheduleType || before.scheduleValue !== after.scheduleValue) return true;
  // An interval has no wall clock. A task that names no zone has the server's.
  const zoneOf = (task: Task) => toTimezone(task.timezone ?? timezone);
  return after.scheduleType !== 'interval' && zoneOf(before) !== zoneOf(after);
}

const noTimeLeft: FieldError = {
  path: 'status',
  message: 'must not be "paused": the task is completed and has no time left; give it a new schedule_value',
};

/** The one time of a `once` that has been run is not run again, unless it is given anew. */
function usedUpFaults(before: Task, after: Task, { now }: Here): FieldError[] {
  if (before.nextRun !== null || after.scheduleType !== 'once' || before.scheduleValue !== after.scheduleValue)
    return [];
  if (!isPast(after, now)) return [];
  const message = `must not be "active" again: the one time of the task, ${after.scheduleValue}, is past; give a new schedule_value, or trigger it`;
  return [{ path: 'status', message }];
}

function withStatus(task: Task, status: Task['status']): Task {
  return { ...task, status, nextRun: status === 'completed' ? null : task.nextRun };
}

function resumed(task: Task, { now, timezone }: Here): Task {
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
