/** Runs one task, for a slot that is due or because somebody asked for it now. */

import type { RunOutcome } from '../domain/outcome.ts';
import { Problem } from '../domain/problem.ts';
import { renderTaskPrompt, type Task } from '../domain/task.ts';
import type { LiveTaskRun, NotClaimed, StartTaskRun } from '../runs/runs.ts';
import type { TaskDeps } from './deps.ts';

export type RunTaskDeps = TaskDeps & {
  runs: { startTask(input: StartTaskRun): Promise<{ kind: 'started'; run: LiveTaskRun } | NotClaimed> };
  settings: {
    /** The server's limit of a run. */
    maxExecutionMs: number;
  };
};

/** A task's run that has ended. */
export type TaskRunResult = {
  taskId: string;
  slot: string | null;
  attempt: number;
  outcome: RunOutcome;
  /** Of the task, now; null also when it was deleted meanwhile. */
  nextRun: string | null;
};

/** Resolves when the run has ended and is on the volume; rejects with a `Problem` that names the task when there is no answer. */
export async function runTask(
  deps: RunTaskDeps,
  input: { taskId: string; slot: string | null },
): Promise<({ kind: 'ran' } & TaskRunResult) | NotClaimed> {
  try {
    return await run(deps, input);
  } catch (error) {
    if (!(error instanceof Problem) || error.context.taskId !== undefined) throw error;
    throw new Problem(error.code, error.message, { ...error.context, taskId: input.taskId, cause: error });
  }
}

async function run(
  deps: RunTaskDeps,
  { taskId, slot }: { taskId: string; slot: string | null },
): Promise<({ kind: 'ran' } & TaskRunResult) | NotClaimed> {
  const now = deps.clock.now();
  const { timezone, maxExecutionMs } = deps.settings;
  const started = await deps.runs.startTask({
    taskId,
    slot,
    message: {
      sender: 'scheduler',
      senderName: 'Scheduled task',
      render: ({ task, attempt }) => renderTaskPrompt(task, { attempt, now, timezone }),
    },
    options: (task) => optionsOf(task, maxExecutionMs),
  });
  if (started.kind !== 'started') return started;
  const { attempt } = started.run.claim;
  const outcome = await started.run.outcome;
  const task = await deps.store.getTask(taskId);
  return { kind: 'ran', taskId, slot, attempt, outcome, nextRun: task?.nextRun ?? null };
}

function optionsOf(task: Task, maxExecutionMs: number) {
  return {
    model: task.model,
    maxExecutionMs: Math.min(task.maxExecutionMs ?? maxExecutionMs, maxExecutionMs),
    thinking: { type: 'disabled' as const },
    effort: null,
    maxTurns: null,
    maxBudgetUsd: null,
    mcpServers: {},
  };
}
