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
import { nextDueAt } from './read.ts';
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

/** Candidates that are looked at together: a check that runs one task need not read thousands. */
const batchSize = 20;

/** Runs at most `max` tasks. Rejects, with a `Problem` (503) or a fault, only when there is no run to answer with. */
export async function checkTasks(deps: CheckDeps, { max }: { max: number }): Promise<CheckResult> {
  const { store, clock } = deps;
  const at = clock.now();
  const due = await store.countDue(at);
  const ran: TaskRunResult[] = [];
  let givenUp = 0;
  let fault: unknown = null;
  for await (const task of candidates(deps, at)) {
    try {
      const tried = await tryTask(deps, task);
      if (tried === 'given_up') givenUp += 1;
      else if (tried !== 'passed_over') ran.push(tried);
    } catch (error) {
      fault = error;
      // A problem (of the volume, of a shutdown) would meet the next task too; any other fault is that of this one.
      if (error instanceof Problem) break;
      deps.log.error({ task_id: task.id, err: error }, 'a task that is due cannot be run, and is passed over');
    }
    if (ran.length === max) break;
  }
  if (givenUp > 0) await syncGivenUp(deps);
  if (fault !== null && ran.length === 0) throw fault;
  if (fault !== null) deps.log.warn({ err: fault }, 'a check did not go as it should; what it ran is answered');
  return { due, ran, remaining: await store.countDue(clock.now()), nextDueAt: await nextDueAt(deps) };
}

/** Each task once, also one that is due again meanwhile. */
async function* candidates({ store }: CheckDeps, at: string): AsyncGenerator<Task, void> {
  const except: string[] = [];
  for (;;) {
    const batch = await store.dueTasks({ at, limit: batchSize, except });
    yield* batch;
    if (batch.length < batchSize) return;
    except.push(...batch.map(({ id }) => id));
  }
}

async function tryTask(deps: CheckDeps, task: Task): Promise<TaskRunResult | 'given_up' | 'passed_over'> {
  const slot = task.nextRun;
  if (slot === null) return 'passed_over';
  if (task.attempts >= task.maxAttempts) {
    await giveUp(deps, task, slot);
    return 'given_up';
  }
  const result = await runTask(deps, { taskId: task.id, slot });
  return result.kind === 'ran' ? result : 'passed_over';
}

/** Nobody waits for it: what is lost is given up again. */
async function syncGivenUp({ volume, log }: CheckDeps): Promise<void> {
  await volume
    .sync()
    .catch((error: unknown) => log.warn({ err: error }, 'slots that are given up are not on the volume'));
}

async function giveUp({ store, clock, log, settings }: CheckDeps, task: Task, slot: string): Promise<void> {
  const at = clock.now();
  const attempt = task.attempts;
  const after = decideAfterRun(task, { status: 'interrupted', slot, attempt, now: at, timezone: settings.timezone });
  const lastResult = `Error: given up after ${attempt === 1 ? '1 attempt' : `${attempt} attempts`}; the end of the server cut it off`;
  if (!(await store.giveUpSlot({ taskId: task.id, slot, lastResult, after, at }))) return;
  log.error({ task_id: task.id, slot, attempts: attempt, fault: after.fault }, 'a slot of a task is given up');
}
