/** Runs one task, for a slot that is due or because somebody asked for it now. */

import type { RunOutcome } from '../domain/outcome.ts';
import { Problem } from '../domain/problem.ts';
import { renderTaskPrompt, type Task } from '../domain/task.ts';
import type { LiveTaskRun, NotClaimed, StartTaskRun } from '../runs/runs.ts';
import type { TaskClaim } from '../store/store.ts';
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

/** Resolves when the run has ended and is on the volume; rejects with a `Problem` when there is no answer. */
export async function runTask(
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
      render: (task) => renderTaskPrompt(task, { now, timezone }),
    },
    options: (task) => optionsOf(task, maxExecutionMs),
  });
  if (started.kind !== 'started') return started;
  const { claim, outcome } = started.run;
  return { kind: 'ran', ...(await resultOf(deps, claim, outcome)) };
}

async function resultOf(deps: TaskDeps, claim: TaskClaim, ended: Promise<RunOutcome>): Promise<TaskRunResult> {
  const taskId = claim.task.id;
  try {
    const outcome = await ended;
    const task = await deps.store.getTask(taskId);
    return { taskId, slot: claim.slot, attempt: claim.attempt, outcome, nextRun: task?.nextRun ?? null };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    throw new Problem(error.code, error.message, { ...error.context, taskId, cause: error });
  }
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
