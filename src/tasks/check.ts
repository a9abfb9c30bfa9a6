/**
 * Runs tasks that are due, oldest slot first, one after another: what an outside cron asks for.
 *
 * - A task that cannot run now (its conversation is busy, another check has it, a fault is in its way) is passed over for
 *   the next one.
 * - A slot whose runs were all cut off, as often as the task allows, is given up, so that it does not come back for ever.
 * - However many checks run at once, here or elsewhere, a slot belongs to one of them: it is claimed in the database.
 */

import { Problem } from '../domain/problem.ts';
import { decideAfterRun, type Task } from '../domain/task.ts';
import type { Log } from '../lib/log.ts';
import { type RunTaskDeps, runTask, type TaskRunResult } from './run-task.ts';

export type CheckDeps = RunTaskDeps & { log: Log };

export type CheckResult = {
  /** Tasks that were due when the check began. */
  due: number;
  ran: TaskRunResult[];
  /** Tasks that are due now and that nobody runs. */
  remaining: number;
  /** When to check again (UTC); null when nothing is scheduled. It may be past. */
  nextDueAt: string | null;
};

/** Runs at most `max` tasks. Rejects, with a `Problem` (503) or a fault, only when there is no run to answer with. */
export async function checkTasks(deps: CheckDeps, { max }: { max: number }): Promise<CheckResult> {
  const { store, clock } = deps;
  const due = await store.dueTasks(clock.now());
  const ran: TaskRunResult[] = [];
  const faults: unknown[] = [];
  for (const task of due) {
    if (ran.length === max) break;
    try {
      const result = await tryTask(deps, task);
      if (result !== null) ran.push(result);
    } catch (error) {
      faults.push(error);
      // A problem (of the volume, of a shutdown) would meet the next task too; any other fault is that of this one.
      if (error instanceof Problem) break;
      deps.log.error({ task_id: task.id, err: error }, 'a task that is due cannot be run, and is passed over');
    }
  }
  if (faults.length > 0 && ran.length === 0) throw faults[0];
  if (faults.length > 0)
    deps.log.warn({ err: faults.at(-1) }, 'a check did not go as it should; what it ran is answered');
  const now = clock.now();
  return { due: due.length, ran, remaining: (await store.dueTasks(now)).length, nextDueAt: await store.nextDueAt(now) };
}

async function tryTask(deps: CheckDeps, task: Task): Promise<TaskRunResult | null> {
  const slot = task.nextRun;
  if (slot === null) return null;
  if (task.attempts >= task.maxAttempts) {
    await giveUp(deps, task, slot);
    return null;
  }
  const result = await runTask(deps, { taskId: task.id, slot });
  return result.kind === 'ran' ? result : null;
}

async function giveUp(deps: CheckDeps, task: Task, slot: string): Promise<void> {
  const now = deps.clock.now();
  const attempt = task.attempts;
  const { timezone } = deps.settings;
  const given = await deps.store.giveUpSlot({
    taskId: task.id,
    slot,
    lastResult: `Error: given up after ${attempt} attempts, each of which was cut off by the end of the server`,
    after: decideAfterRun(task, { status: 'interrupted', slot, attempt, now, timezone }),
    at: now,
  });
  if (!given) return;
  deps.log.error({ task_id: task.id, slot, attempts: attempt }, 'a slot of a task is given up');
  // Nobody is promised this before the next answer: if it is lost, it is done again.
  await deps.volume.sync();
}
