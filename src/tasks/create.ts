/** Makes a task. Nothing is stored unless all of it is valid and on the volume. */

import { invalidRequest } from '../domain/invalid-request.ts';
import { conversationNotFound, Problem } from '../domain/problem.ts';
import { defaultMaxAttempts, type Task } from '../domain/task.ts';
import { durably, withdraw } from '../lib/durable.ts';
import { newId } from '../lib/ids.ts';
import type { TaskDeps } from './deps.ts';
import { idFaults, placeFaults, promptFaults, scheduled, withKnownZone, zoneFaults } from './rules.ts';

export type CreateTask = Pick<Task, 'prompt' | 'scheduleType' | 'scheduleValue'> &
  Partial<
    Pick<Task, 'id' | 'contextMode' | 'conversationId' | 'timezone' | 'model' | 'maxExecutionMs' | 'maxAttempts'>
  > & {
    /** Whether a `group` task makes a conversation that is not there, as PicoClaw 1.x does, or is refused. */
    createConversation: boolean;
  };

/** Rejects with a `Problem`: 400, 404 for an unknown conversation, 409 for an id that is taken, 503. */
export async function createTask(deps: TaskDeps, input: CreateTask): Promise<Task> {
  const { createConversation, ...given } = input;
  const at = deps.clock.now();
  const unscheduled = withKnownZone({
    id: newId('task'),
    conversationId: null,
    contextMode: 'isolated',
    timezone: null,
    model: null,
    maxExecutionMs: null,
    maxAttempts: defaultMaxAttempts,
    ...given,
    nextRun: null,
    lastRun: null,
    lastResult: null,
    lastStatus: null,
    status: 'active',
    createdAt: at,
    attempts: 0,
  });
  const { task, faults: scheduleFaults } = scheduled(unscheduled, { now: at, timezone: deps.settings.timezone });
  const faults = [
    ...idFaults(task.id),
    ...promptFaults(task),
    ...placeFaults(task),
    ...zoneFaults(task),
    ...scheduleFaults,
  ];
  if (faults.length > 0) throw invalidRequest(faults);

  const isMade = createConversation && task.contextMode === 'group';
  const inserted = await deps.store.insertTask({ task, createConversation: isMade, at });
  if (inserted.kind === 'exists')
    throw new Problem('task_exists', `a task with id ${task.id} exists; change it with PUT, or take another id`, {
      taskId: task.id,
    });
  if (inserted.kind === 'conversation_not_found') throw conversationNotFound(task.conversationId ?? '');
  try {
    const refused =
      'the task could not be written to the persistent volume and was withdrawn; look before you send it again';
    await durably(() => deps.volume.sync(), refused, { taskId: task.id });
    return inserted.task;
  } catch (error) {
    await withdrawTask(deps, { id: task.id, madeConversation: inserted.madeConversation });
    throw error;
  }
}

/** Never rejects: the caller is told of the sync that failed, whatever else does. */
async function withdrawTask(
  { store, volume }: TaskDeps,
  made: { id: string; madeConversation: boolean },
): Promise<void> {
  try {
    await withdraw(
      () => store.withdrawTask(made),
      () => volume.sync(),
    );
  } catch {
    // What is left of it goes with the next sync.
  }
}
