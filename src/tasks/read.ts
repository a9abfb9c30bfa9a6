/** What a client may read of tasks. Reads never sync. */

import type { Page } from '../domain/conversation.ts';
import { taskNotFound } from '../domain/problem.ts';
import type { Task, TaskRun } from '../domain/task.ts';
import type { ListInput } from '../store/store.ts';
import type { TaskDeps } from './deps.ts';

export async function requireTask(deps: TaskDeps, id: string): Promise<Task> {
  const task = await deps.store.getTask(id);
  if (task === null) throw taskNotFound(id);
  return task;
}

/** Newest first, by creation. */
export function listTasks(deps: TaskDeps, input: ListInput): Promise<Page<Task>> {
  return deps.store.listTasks(input);
}

/** Newest first. */
export async function listTaskRuns(deps: TaskDeps, id: string, input: ListInput): Promise<Page<TaskRun>> {
  const page = await deps.store.listTaskRuns(id, input);
  if (page === null) throw taskNotFound(id);
  return page;
}

/** A conversation that is busy now may be idle by then. */
const heldUpMs = 10_000;

/** When a check may next find a task to run (UTC); null when never. It may be past: then there is one now. */
export function nextDueAt({ store, clock }: Pick<TaskDeps, 'store' | 'clock'>): Promise<string | null> {
  const at = clock.now();
  return store.nextDueAt({ at, heldUpUntil: new Date(Date.parse(at) + heldUpMs).toISOString() });
}
