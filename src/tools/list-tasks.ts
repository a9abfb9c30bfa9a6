/** All tasks, one line each, those that may still run first; so many that a model can read them, and how many there are. */

import { taskStatuses } from '../domain/task.ts';
import type { ToolBackend, ToolTask } from './backend.ts';
import { describeTask } from './task-text.ts';

/** Each line takes some 80 tokens; a client cuts off what is longer than about 25,000. */
const maxLines = 200;
/** Ten of the largest pages. */
const maxTasks = 2_000;

export async function listAllTasks(backend: Pick<ToolBackend, 'listTasks'>, now: string): Promise<string> {
  const { tasks, isAll } = await readTasks(backend);
  if (tasks.length === 0) return 'No tasks found.';
  const sorted = taskStatuses.flatMap((status) => tasks.filter((task) => task.status === status));
  const lines = sorted.slice(0, maxLines).map((task) => describeTask(task, now));
  const left = sorted.length - lines.length;
  if (left > 0 || !isAll)
    lines.push(`${isAll ? left : `More than ${left}`} further tasks are not listed; they can be named by their ids.`);
  return lines.join('\n');
}

async function readTasks(backend: Pick<ToolBackend, 'listTasks'>): Promise<{ tasks: ToolTask[]; isAll: boolean }> {
  const tasks: ToolTask[] = [];
  let cursor: string | null = null;
  do {
    const page = await backend.listTasks(cursor);
    tasks.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== null && tasks.length < maxTasks);
  return { tasks, isAll: cursor === null };
}
