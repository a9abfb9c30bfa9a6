/**
 * The bodies of the task routes: their schemas, and the one place where they become the input of an operation.
 *
 * What a task must be (its id, its prompt, its schedule, its conversation) is decided in `tasks/rules.ts`, for every way in;
 * here that is only described. Texts that come back in such a fault have a limit, so that the answer stays small.
 */

import { z } from '@hono/zod-openapi';
import { maxScheduleCharacters, minIntervalMs, scheduleTypes } from '../domain/schedule.ts';
import { contextModes, defaultMaxAttempts, maxMaxAttempts, taskIdPattern, taskStatuses } from '../domain/task.ts';
import { maxTimezoneCharacters } from '../domain/timezone.ts';
import type { CreateTask } from '../tasks/create.ts';
import type { TaskChanges } from '../tasks/update.ts';
import { givenId, name } from './text-fields.ts';

const prompt = z.string().openapi({
  description: 'What the agent is asked. Not blank; given to the model as it is, after the local time.',
  example: 'Look at the weather and tell me whether to take an umbrella.',
});
const scheduleType = z.enum(scheduleTypes).openapi({ description: 'How `schedule_value` is read.' });
const scheduleValue = z
  .string()
  .max(maxScheduleCharacters)
  .openapi({
    description:
      '`cron`: 5 fields, 6 with seconds, or a name such as `@daily`; a local time that does not exist that day runs at the ' +
      `next valid one, one that comes twice runs once. \`interval\`: whole milliseconds, at least ${minIntervalMs}, digits only. ` +
      '`once`: local time, `YYYY-MM-DDTHH:MM[:SS]`, without a zone; one that is past is due at once.',
    example: '0 9 * * MON-FRI',
  });
const contextMode = z.enum(contextModes).openapi({
  description:
    '`isolated`: a fresh session that leaves no conversation behind. `group`: a run of `conversation_id`, with its messages.',
});
const conversationId = givenId.openapi({
  description:
    'Where a `group` task runs; it is made if it is unknown. An `isolated` task belongs to it and is deleted with it; there an ' +
    'unknown one is a 404.',
  example: 'conv-0f6a1c9e-7f3d-4a62-9a53-0d0b1a4a7c11',
});
const timezone = z.string().max(maxTimezoneCharacters).openapi({
  description: 'IANA zone of the schedule and of the time that the agent is told.',
  example: 'Europe/Berlin',
});
const model = name.openapi({
  description: "The model of its runs, instead of the server's (CLAUDE_MODEL).",
  example: 'claude-sonnet-5',
});
const maxExecutionMs = z.int().min(1).openapi({
  description:
    'Milliseconds after which a run ends as `timeout`. A larger value than `max_execution_ms` of GET /health is lowered to it.',
  example: 120_000,
});
const maxAttempts = z.int().min(1).max(maxMaxAttempts).openapi({
  description: 'How often a due time is tried when the end of the server cuts its run off.',
});

export const createTaskRequest = z
  .strictObject({
    id: z.string().optional().openapi({
      description: '`task-<uuid>` without it. Not `check` or `trigger`, which are paths of their own.',
      pattern: taskIdPattern.source,
      example: 'umbrella',
    }),
    prompt,
    schedule_type: scheduleType,
    schedule_value: scheduleValue,
    context_mode: contextMode.optional().openapi({ default: 'isolated' }),
    conversation_id: conversationId.optional(),
    timezone: timezone.optional(),
    model: model.optional(),
    max_execution_ms: maxExecutionMs.optional(),
    max_attempts: maxAttempts.optional().openapi({ default: defaultMaxAttempts }),
  })
  .openapi('CreateTaskRequest');

const unset = 'Null: as if it had never been given.';

export const updateTaskRequest = z
  .strictObject({
    prompt: prompt.optional(),
    schedule_type: scheduleType.optional(),
    schedule_value: scheduleValue.optional(),
    context_mode: contextMode.optional(),
    conversation_id: conversationId.nullable().optional(),
    timezone: timezone
      .nullable()
      .optional()
      .openapi({ description: `IANA. ${unset}` }),
    model: model.nullable().optional().openapi({ description: unset }),
    max_execution_ms: maxExecutionMs.nullable().optional().openapi({ description: unset }),
    max_attempts: maxAttempts.optional(),
    status: z
      .enum(taskStatuses)
      .optional()
      .openapi({ description: '`paused` and back to `active`; `completed` ends it.' }),
  })
  .openapi('UpdateTaskRequest');

export const triggerRequest = z
  .strictObject({ task_id: givenId.openapi({ example: 'umbrella' }) })
  .openapi('TriggerTaskRequest');

const maxRunsPerCheck = 100;

export const checkRequest = z
  .strictObject({
    max: z
      .int()
      .min(1)
      .max(maxRunsPerCheck)
      .optional()
      .openapi({ description: 'Run up to so many due tasks, one after another. With it the answer has `runs`.' }),
  })
  .openapi('CheckTasksRequest');

export function toCreateTask(body: z.output<typeof createTaskRequest>): CreateTask {
  return {
    ...given({
      id: body.id,
      contextMode: body.context_mode,
      conversationId: body.conversation_id,
      timezone: body.timezone,
      model: body.model,
      maxExecutionMs: body.max_execution_ms,
      maxAttempts: body.max_attempts,
    }),
    prompt: body.prompt,
    scheduleType: body.schedule_type,
    scheduleValue: body.schedule_value,
    createConversation: true,
  };
}

export function toTaskChanges(body: z.output<typeof updateTaskRequest>): TaskChanges {
  return given({
    prompt: body.prompt,
    scheduleType: body.schedule_type,
    scheduleValue: body.schedule_value,
    contextMode: body.context_mode,
    conversationId: body.conversation_id,
    timezone: body.timezone,
    model: body.model,
    maxExecutionMs: body.max_execution_ms,
    maxAttempts: body.max_attempts,
    status: body.status,
  });
}

type Fields = TaskChanges & Partial<Pick<CreateTask, 'id'>>;

/** Without the members that are undefined: to name a field is to change it. */
function given(fields: { [Name in keyof Fields]: Fields[Name] | undefined }): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}
