/** Tasks as a client reads them. */

import { z } from '@hono/zod-openapi';
import { runStatuses } from '../domain/run.ts';
import { scheduleTypes } from '../domain/schedule.ts';
import { contextModes, type Task, taskStatuses } from '../domain/task.ts';
import { time } from './conversation-json.ts';
import { nextCursor } from './paging.ts';

/** `running`: as the run log has it while a run is under way. */
export const runStatus = z.enum(runStatuses).openapi({
  description: '`cancelled`: ended by a shutdown. `interrupted`: cut off by the end of the server.',
});

export const nextDueAt = time.nullable().openapi({
  description:
    'When POST /task/check may next find a task to run, UTC; null when nothing is scheduled. A past time: there is one now.',
});

export const taskResponse = z
  .strictObject({
    id: z.string(),
    conversation_id: z.string().nullable(),
    prompt: z.string(),
    schedule_type: z.enum(scheduleTypes),
    schedule_value: z.string(),
    context_mode: z.enum(contextModes),
    timezone: z
      .string()
      .openapi({ description: "The task's, or the server's where it has none.", example: 'Europe/Berlin' }),
    next_run: time.nullable().openapi({ description: 'When it is due next, UTC; null when never.' }),
    last_run: time.nullable().openapi({ description: 'When its last run began, UTC.' }),
    last_result: z.string().nullable().openapi({ description: 'The first 200 characters of what the last run said.' }),
    last_status: runStatus.nullable(),
    status: z.enum(taskStatuses),
    created_at: time,
    model: z.string().nullable().openapi({ description: "Null: the server's." }),
    max_execution_ms: z.int().nullable().openapi({ description: "Null: the server's." }),
    max_attempts: z.int(),
  })
  .openapi('Task');

export const taskList = z
  .strictObject({ tasks: z.array(taskResponse), next_cursor: nextCursor, next_due_at: nextDueAt })
  .openapi('TaskList');

/** `serverTimezone`: the zone of tasks that name none. */
export function toTaskJson(task: Task, serverTimezone: string): z.output<typeof taskResponse> {
  return {
    id: task.id,
    conversation_id: task.conversationId,
    prompt: task.prompt,
    schedule_type: task.scheduleType,
    schedule_value: task.scheduleValue,
    context_mode: task.contextMode,
    timezone: task.timezone ?? serverTimezone,
    next_run: task.nextRun,
    last_run: task.lastRun,
    last_result: task.lastResult,
    last_status: task.lastStatus,
    status: task.status,
    created_at: task.createdAt,
    model: task.model,
    max_execution_ms: task.maxExecutionMs,
    max_attempts: task.maxAttempts,
  };
}
