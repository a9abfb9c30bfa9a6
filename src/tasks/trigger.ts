/** Runs a task now, whatever its schedule and status, and leaves both alone. */

import { conversationBusy, taskBusy, taskNotFound } from '../domain/problem.ts';
import { type RunTaskDeps, runTask, type TaskRunResult } from './run-task.ts';

/** Rejects with a `Problem`: 404, 409 while the task or its conversation is running, 503. */
export async function triggerTask(deps: RunTaskDeps, taskId: string): Promise<TaskRunResult> {
  const result = await runTask(deps, { taskId, slot: null });
  switch (result.kind) {
    case 'ran':
      return result;
    case 'not_found':
    // A trigger claims no slot.
    case 'not_due':
      throw taskNotFound(taskId);
    case 'task_busy':
      throw taskBusy(taskId);
    case 'conversation_busy':
      throw conversationBusy(result.conversationId, taskId);
    default:
      return result satisfies never;
  }
}
