/** Examples of the operations on tasks. */

import type { z } from '@hono/zod-openapi';
import type { taskList, taskResponse } from '../task-json.ts';
import type { checkRequest, createTaskRequest, updateTaskRequest } from '../task-request.ts';
import type { checkResponse, executedTask, taskRunList } from '../task-run-json.ts';
import { conversationId, model, type OperationExamples, runId, taskId, unknownField } from './example.ts';

const prompt = 'Look at the weather and tell me whether to take an umbrella.';
const due = '2026-02-02T08:00:00.000Z';
const nextDue = '2026-02-03T08:00:00.000Z';
const usage = { input_tokens: 640, output_tokens: 48, cache_read_input_tokens: 9800, cache_creation_input_tokens: 0 };

const cron: z.input<typeof createTaskRequest> = {
  id: taskId,
  prompt,
  schedule_type: 'cron',
  schedule_value: '0 9 * * MON-FRI',
  timezone: 'Europe/Berlin',
};
const interval: z.input<typeof createTaskRequest> = {
  prompt: 'Look into notes.md and tidy it up.',
  schedule_type: 'interval',
  schedule_value: '3600000',
  max_execution_ms: 120_000,
};
const once: z.input<typeof createTaskRequest> = {
  prompt: 'Ask me how the meeting went.',
  schedule_type: 'once',
  schedule_value: '2026-02-02T17:30',
  timezone: 'Europe/Berlin',
  context_mode: 'group',
  conversation_id: conversationId,
};

const task: z.output<typeof taskResponse> = {
  id: taskId,
  conversation_id: null,
  prompt,
  schedule_type: 'cron',
  schedule_value: '0 9 * * MON-FRI',
  context_mode: 'isolated',
  timezone: 'Europe/Berlin',
  next_run: due,
  last_run: null,
  last_result: null,
  last_status: null,
  status: 'active',
  created_at: '2026-01-31T09:30:00.000Z',
  model: null,
  max_execution_ms: null,
  max_attempts: 3,
};
const hasRun: z.output<typeof taskResponse> = {
  ...task,
  next_run: nextDue,
  last_run: due,
  last_result: 'Take it: rain from noon.',
  last_status: 'success',
};
const list: z.output<typeof taskList> = { tasks: [task], next_cursor: null, next_due_at: due };
const pause: z.input<typeof updateTaskRequest> = { status: 'paused' };
const reschedule: z.input<typeof updateTaskRequest> = { schedule_value: '30 7 * * *', max_execution_ms: null };

const executed: z.output<typeof executedTask> = {
  status: 'success',
  task_id: taskId,
  result: 'Take it: rain from noon.',
  duration_ms: 3120,
  next_run: nextDue,
  outbound_messages: [],
  run_id: runId,
  attempt: 1,
  conversation_id: null,
  usage,
  cost_usd: 0.0041,
  session_end_marker_detected: false,
};
const failedRun: z.output<typeof executedTask> = {
  ...executed,
  status: 'error',
  result: null,
  error: 'The model API cannot be reached: connect ECONNREFUSED',
  error_code: 'model_unreachable',
};
const checked: z.output<typeof checkResponse> = { checked: 1, executed, remaining: 0, next_due_at: nextDue };
const several: z.output<typeof checkResponse> = { ...checked, runs: [executed] };
const nothing: z.output<typeof checkResponse> = {
  checked: 0,
  message: 'No due tasks',
  remaining: 0,
  next_due_at: due,
};
const checkUpTo: z.input<typeof checkRequest> = { max: 10 };

const runs: z.output<typeof taskRunList> = {
  task_id: taskId,
  runs: [
    {
      run_id: runId,
      task_id: taskId,
      source: 'task_check',
      conversation_id: null,
      status: 'success',
      slot: due,
      attempt: 1,
      started_at: '2026-02-02T08:00:01.000Z',
      ended_at: '2026-02-02T08:00:04.120Z',
      duration_ms: 3120,
      result: 'Take it: rain from noon.',
      error: null,
      error_code: null,
      model,
      usage,
      cost_usd: 0.0041,
      num_turns: 1,
      outbound_messages: [],
    },
  ],
  next_cursor: null,
};

export const taskExamples: Record<string, OperationExamples> = {
  createTask: {
    requests: {
      cron: { summary: 'By the calendar, in a zone', value: cron },
      interval: { summary: 'Again and again, in milliseconds', value: interval },
      once: { summary: 'Once, in a conversation', value: once },
    },
    responses: { 201: { created: { summary: 'The task', value: task } } },
    invalid: {
      body: { prompt, schedule_type: 'interval', schedule_value: '5m' },
      errors: [
        {
          path: 'schedule_value',
          message:
            'must be whole milliseconds for an interval, in digits, 1000 to 3153600000000, such as "3600000" for an hour; got "5m"',
        },
      ],
    },
    about: 'conversation',
  },
  listTasks: {
    responses: { 200: { page: { summary: 'The only page', value: list } } },
    invalid: {
      query: 'limit=0',
      errors: [{ path: 'limit', message: 'must be an integer from 1 to 200; got "0"' }],
    },
  },
  getTask: {
    responses: {
      200: {
        new: { summary: 'It has not run yet', value: task },
        has_run: { summary: 'It has run', value: hasRun },
      },
    },
    invalid: { query: 'verbose=1', errors: unknownField('verbose') },
    about: 'task',
  },
  updateTask: {
    requests: {
      pause: { summary: 'Pause it', value: pause },
      reschedule: { summary: "Another time, and the server's time limit again", value: reschedule },
    },
    responses: {
      200: {
        paused: { summary: 'Paused', value: { ...hasRun, status: 'paused' } },
        rescheduled: {
          summary: 'Another time',
          value: { ...hasRun, schedule_value: '30 7 * * *', next_run: '2026-02-03T06:30:00.000Z' },
        },
      },
    },
    invalid: {
      body: { status: 'done' },
      errors: [{ path: 'status', message: 'must be "active" or "paused" or "completed"; got "done"' }],
    },
    about: 'task',
  },
  deleteTask: {
    responses: {},
    invalid: { query: 'force=true', errors: unknownField('force') },
    about: 'task',
  },
  listTaskRuns: {
    responses: { 200: { page: { summary: 'The only page', value: runs } } },
    invalid: {
      query: 'limit=0',
      errors: [{ path: 'limit', message: 'must be an integer from 1 to 200; got "0"' }],
    },
    about: 'task',
  },
  triggerTask: {
    requests: { trigger: { summary: 'Run it now', value: { task_id: taskId } } },
    responses: {
      200: {
        success: { summary: 'It ran', value: executed },
        error: { summary: 'The run failed', value: failedRun },
      },
    },
    invalid: { body: {}, errors: [{ path: 'task_id', message: 'is required: must be a string' }] },
    about: 'task',
  },
  checkTasks: {
    requests: {
      one: { summary: 'The oldest that can run', value: {} },
      several: { summary: 'Up to ten, one after another', value: checkUpTo },
    },
    responses: {
      200: {
        ran: { summary: 'A task ran', value: checked },
        several: { summary: 'With `max`', value: several },
        nothing: { summary: 'Nothing was due', value: nothing },
      },
    },
    invalid: { body: { max: 0 }, errors: [{ path: 'max', message: 'must be at least 1; got 0' }] },
  },
};
