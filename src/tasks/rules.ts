/** What a task must be: the rules that its making and its changes share. Pure; every fault names its field as the API does. */

import type { FieldError } from '../domain/problem.ts';
import { firstSlot } from '../domain/schedule.ts';
import { scheduleOf, type Task, taskIdPattern } from '../domain/task.ts';
import { toTimezone } from '../domain/timezone.ts';
import { describe } from '../lib/check.ts';

/** The server's. */
export type Here = { now: string; timezone: string };

/** Of the HTTP API: `/task/check` is no task. */
const reservedIds = ['check', 'trigger'];

export function idFaults(id: string): FieldError[] {
  if (reservedIds.includes(id))
    return [{ path: 'id', message: `must not be "${id}", which is a path of its own: /task/${id}` }];
  if (taskIdPattern.test(id)) return [];
  const rule = 'must be 1 to 64 letters, digits, ".", "_" or "-", and begin with a letter or digit';
  return [{ path: 'id', message: `${rule}; got ${describe(id)}` }];
}

export function promptFaults({ prompt }: Pick<Task, 'prompt'>): FieldError[] {
  return prompt.trim() === '' ? [{ path: 'prompt', message: 'must not be blank' }] : [];
}

export function placeFaults({
  contextMode,
  conversationId,
}: Pick<Task, 'contextMode' | 'conversationId'>): FieldError[] {
  if (conversationId === null)
    return contextMode === 'group'
      ? [{ path: 'conversation_id', message: 'is required with context_mode "group"; the task runs in it' }]
      : [];
  if (conversationId.trim() === '') return [{ path: 'conversation_id', message: 'must not be blank' }];
  // Every client takes these out of a path, so that nobody could ask for such a conversation.
  return conversationId === '.' || conversationId === '..'
    ? [{ path: 'conversation_id', message: `must not be "${conversationId}", which no path can have` }]
    : [];
}

/** The zone as the database of zones spells it; what is no zone stays, for `zoneFaults`. */
export function withKnownZone(task: Task): Task {
  return task.timezone === null ? task : { ...task, timezone: toTimezone(task.timezone) ?? task.timezone };
}

export function zoneFaults({ timezone }: Pick<Task, 'timezone'>): FieldError[] {
  if (timezone === null || toTimezone(timezone) !== null) return [];
  const message = `must be a time zone of the IANA database, such as "Europe/Berlin"; got ${JSON.stringify(timezone)}`;
  return [{ path: 'timezone', message }];
}

/** The task with its first slot, or why its schedule cannot be kept. A zone that is none is a fault of `zoneFaults`. */
export function scheduled(task: Task, here: Here): { task: Task; faults: FieldError[] } {
  const zone = zoneFaults(task).length > 0 ? null : task.timezone;
  const slot = firstSlot(scheduleOf({ ...task, timezone: zone }, here.timezone), here.now);
  switch (slot.kind) {
    case 'slot':
      return { task: { ...task, nextRun: slot.at, attempts: 0 }, faults: [] };
    case 'none':
      return { task: { ...task, nextRun: null, attempts: 0 }, faults: [] };
    case 'invalid':
      return {
        task,
        faults: [{ path: 'schedule_value', message: `${slot.message}; got ${JSON.stringify(task.scheduleValue)}` }],
      };
    default:
      return slot satisfies never;
  }
}
