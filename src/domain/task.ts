/**
 * A task: a stored rule that creates runs. A slot is one due time of it.
 *
 *   active ──pause──► paused ──resume──► active
 *   active | paused ── no further slot ──► completed ── new schedule ──► active
 *
 * When a task is due next is said by `firstSlot` when it is made or its schedule changes, by `decideAfterRun` after a run, and by
 * `tasks/update.ts` after a pause.
 */

import type { OutboundMessage } from './conversation.ts';
import type { ProblemBody } from './problem.ts';
import type { RunSource, RunStatus, TerminalRunStatus, Usage } from './run.ts';
import { nextSlot, type Schedule } from './schedule.ts';
import { beginningOf } from './text.ts';
import { toTimezone } from './timezone.ts';

export const contextModes = ['isolated', 'group'] as const;
/** `isolated`: a fresh session that leaves no conversation behind. `group`: a run of the task's conversation. */
export type ContextMode = (typeof contextModes)[number];

export const taskStatuses = ['active', 'paused', 'completed'] as const;
export type TaskStatus = (typeof taskStatuses)[number];

export type Task = {
  id: string;
  /** Where it runs (`group`), or what it belongs to and is deleted with (`isolated`, where it may be null). */
  conversationId: string | null;
  prompt: string;
  scheduleType: Schedule['type'];
  scheduleValue: string;
  contextMode: ContextMode;
  /** IANA; null follows the server's. */
  timezone: string | null;
  /** The slot that is due next, UTC; null when there is none. */
  nextRun: string | null;
  lastRun: string | null;
  /** The beginning of what the last run said. */
  lastResult: string | null;
  lastStatus: RunStatus | null;
  status: TaskStatus;
  createdAt: string;
  model: string | null;
  /** Null is the server's limit. */
  maxExecutionMs: number | null;
  /** How often a slot is tried when its runs are cut off by the end of their instance. */
  maxAttempts: number;
  /** How often `nextRun` has been tried so far. */
  attempts: number;
};

/** One line of a task's run log. */
export type TaskRun = {
  /** The run. */
  id: string;
  taskId: string;
  source: RunSource;
  conversationId: string | null;
  status: RunStatus;
  /** The due time that it was for; null when it was triggered. */
  slot: string | null;
  /** From 1, for this slot. */
  attempt: number;
  startedAt: string;
  /** Of an interrupted run, when that was found. */
  endedAt: string | null;
  /** Null while it runs, and where nobody knows when it ended: of an interrupted run. */
  durationMs: number | null;
  /** Whole. */
  result: string | null;
  error: ProblemBody | null;
  model: string | null;
  usage: Usage;
  costUsd: number;
  numTurns: number;
  outboundMessages: OutboundMessage[];
};

export const taskIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const defaultMaxAttempts = 3;
export const maxMaxAttempts = 100;
const maxLastResultCharacters = 200;

export function scheduleOf(task: Task, serverTimezone: string): Schedule {
  return { type: task.scheduleType, value: task.scheduleValue, timezone: task.timezone ?? serverTimezone };
}

/** `next_run`, `status` and the count of attempts after a run for a slot. */
export type AfterRun = Pick<Task, 'nextRun' | 'status' | 'attempts'> & {
  /** Why the task was paused; null when it was not. */
  fault: string | null;
};

/**
 * A run that the end of its instance cut off is tried again, as often as the task allows; every other uses its slot up.
 * A task whose schedule cannot be kept (1.x took some that mean nothing) is paused rather than lost.
 */
export function decideAfterRun(
  task: Task,
  run: { status: TerminalRunStatus; slot: string; attempt: number; now: string; timezone: string },
): AfterRun {
  const { status, slot, attempt, now, timezone } = run;
  const cutOff = status === 'cancelled' || status === 'interrupted';
  if (cutOff && attempt < task.maxAttempts)
    return { nextRun: slot, status: task.status, attempts: attempt, fault: null };
  const next = nextSlot(scheduleOf(task, timezone), { slot, now });
  switch (next.kind) {
    case 'slot':
      return { nextRun: next.at, status: task.status, attempts: 0, fault: null };
    case 'none':
      return { nextRun: null, status: 'completed', attempts: 0, fault: null };
    case 'invalid':
      return { nextRun: null, status: 'paused', attempts: 0, fault: `schedule_value ${next.message}` };
    default:
      return next satisfies never;
  }
}

/** The prefixes are those of PicoClaw 1.x. */
export function summarizeRun(run: {
  status: TerminalRunStatus;
  result: string | null;
  error: ProblemBody | null;
  /** Why the task has stopped, which is what its owner looks for; null where it goes on. */
  pausedBecause: string | null;
}): string | null {
  const summary = run.pausedBecause === null ? describeRun(run) : `Paused: ${run.pausedBecause}`;
  return summary === '' ? null : beginningOf(summary, maxLastResultCharacters);
}

function describeRun({ status, result, error }: Parameters<typeof summarizeRun>[0]): string {
  if (status === 'success') return result ?? '';
  if (status === 'timeout') return result === null ? 'Timeout' : `Timeout: ${result}`;
  return `Error: ${error?.detail}`;
}

/** What the agent is asked: a marker, the local time of the task's zone, what became of an attempt before, and the prompt. */
export function renderTaskPrompt(
  task: Task,
  { attempt, now, timezone }: { attempt: number; now: string; timezone: string },
): string {
  // The database of zones of this server may not have one that another has stored.
  const zone = toTimezone(task.timezone ?? timezone) ?? timezone;
  const time = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'long',
    year: 'numeric',
    month: 'long',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
  }).format(new Date(now));
  const again =
    attempt > 1
      ? `\nAttempt ${attempt} of ${task.maxAttempts}: the one before was cut off and may have done part of the work.`
      : '';
  return `[SCHEDULED TASK]\nLocal time: ${time} (${zone})${again}\n\n${task.prompt}`;
}
