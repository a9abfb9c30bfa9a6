/** The runs of tasks as a client reads them: lines of a run log, and the answers to a check and a trigger. */

import { z } from '@hono/zod-openapi';
import { runSources } from '../domain/run.ts';
import type { TaskRun } from '../domain/task.ts';
import type { CheckResult } from '../tasks/check.ts';
import type { TaskRunResult } from '../tasks/run-task.ts';
import {
  answerStatus,
  costUsd,
  errorCode,
  numTurns,
  outboundMessage,
  toAnswerStatus,
  toOutboundJson,
  toUsageJson,
  usage,
  warnings,
} from './chat-response.ts';
import { time } from './conversation-json.ts';
import { nextCursor } from './paging.ts';
import { nextDueAt, runStatus } from './task-json.ts';

const attempt = z.int().openapi({ description: 'From 1: which try at its due time it was.' });
const resultText = z.string().nullable().openapi({
  description: 'The text of the reply, whole, less `<internal>` blocks; as far as it came, if the run was cut off.',
});
const conversationId = z.string().nullable().openapi({ description: 'Null for an `isolated` run.' });
const outboundMessages = z.array(outboundMessage).openapi({
  description: 'What the agent sent in this run. No other answer delivers them again.',
});

export const executedTask = z
  .strictObject({
    status: answerStatus,
    task_id: z.string(),
    result: resultText,
    duration_ms: z.int(),
    next_run: time.nullable().openapi({
      description: 'When the task is due next, UTC; null when never, or when it was deleted meanwhile.',
    }),
    error: z.string().optional().openapi({ description: 'What went wrong, in words; absent on success.' }),
    error_code: errorCode.optional(),
    outbound_messages: outboundMessages,
    run_id: z.string(),
    attempt,
    conversation_id: conversationId,
    usage,
    cost_usd: costUsd,
    session_end_marker_detected: z.boolean(),
    warnings: warnings.optional(),
  })
  .openapi('ExecutedTask');

const remaining = z.int().openapi({ description: 'Tasks that are due now and that nobody runs.' });

const somethingRan = z
  .strictObject({
    checked: z.int().openapi({ description: 'Tasks that were due when the check began.' }),
    executed: executedTask.openapi({ description: 'The first run.' }),
    runs: z.array(executedTask).optional().openapi({ description: 'With `max`: every run, in order.' }),
    remaining,
    next_due_at: nextDueAt,
  })
  .openapi('CheckedTasks');

const nothingRan = z
  .strictObject({
    checked: z.literal(0),
    message: z.string().openapi({ description: 'Why.', example: 'No due tasks' }),
    remaining,
    next_due_at: nextDueAt,
  })
  .openapi('NothingChecked');

export const checkResponse = z.union([somethingRan, nothingRan]).openapi('CheckTasksResponse');

export const taskRunList = z
  .strictObject({
    task_id: z.string(),
    runs: z.array(
      z
        .strictObject({
          run_id: z.string(),
          task_id: z.string(),
          source: z.enum(runSources).openapi({
            description: '`task_check`: it was due. `task_trigger`: it was asked for.',
          }),
          conversation_id: conversationId,
          status: runStatus,
          slot: time.nullable().openapi({ description: 'The due time that it ran for, UTC; null for a trigger.' }),
          attempt,
          started_at: time,
          ended_at: time
            .nullable()
            .openapi({ description: 'Null while it runs; of an interrupted one, when that was found.' }),
          duration_ms: z.int().nullable().openapi({ description: 'Null while it runs, and where it was interrupted.' }),
          result: resultText,
          error: z.string().nullable().openapi({ description: 'What went wrong, in words.' }),
          error_code: errorCode.nullable(),
          model: z.string().nullable(),
          usage,
          cost_usd: costUsd,
          num_turns: numTurns,
          outbound_messages: outboundMessages,
        })
        .openapi('TaskRun'),
    ),
    next_cursor: nextCursor,
  })
  .openapi('TaskRunList');

export function toExecutedJson({ taskId, attempt, outcome, nextRun }: TaskRunResult): z.output<typeof executedTask> {
  return {
    status: toAnswerStatus(outcome.status),
    task_id: taskId,
    result: outcome.result,
    duration_ms: outcome.durationMs,
    next_run: nextRun,
    ...(outcome.error ? { error: outcome.error.detail, error_code: outcome.error.code } : {}),
    outbound_messages: outcome.outboundMessages.map(toOutboundJson),
    run_id: outcome.runId,
    attempt,
    conversation_id: outcome.conversationId,
    usage: toUsageJson(outcome.usage),
    cost_usd: outcome.costUsd,
    session_end_marker_detected: outcome.sessionEndMarkerDetected,
    ...(outcome.warnings.length > 0 ? { warnings: outcome.warnings } : {}),
  };
}

/** `withRuns`: the caller asked for more than one. */
export function toCheckJson(result: CheckResult, { withRuns }: { withRuns: boolean }): z.output<typeof checkResponse> {
  const { due, ran, remaining } = result;
  const rest = { remaining, next_due_at: result.nextDueAt };
  const runs = ran.map(toExecutedJson);
  const [executed] = runs;
  if (executed) return { checked: due, executed, ...(withRuns ? { runs } : {}), ...rest };
  const message =
    due === 0
      ? 'No due tasks'
      : 'No due task can run now: its conversation is busy, another check runs it, or it was tried too often';
  return { checked: 0, message, ...rest };
}

export function toTaskRunJson(run: TaskRun) {
  return {
    run_id: run.id,
    task_id: run.taskId,
    source: run.source,
    conversation_id: run.conversationId,
    status: run.status,
    slot: run.slot,
    attempt: run.attempt,
    started_at: run.startedAt,
    ended_at: run.endedAt,
    duration_ms: run.durationMs,
    result: run.result,
    error: run.error?.detail ?? null,
    error_code: run.error?.code ?? null,
    model: run.model,
    usage: toUsageJson(run.usage),
    cost_usd: run.costUsd,
    num_turns: run.numTurns,
    outbound_messages: run.outboundMessages.map(toOutboundJson),
  };
}
