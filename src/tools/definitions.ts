/**
 * The tools that the agent has, and any MCP client through `picoclaw mcp`. Their names and arguments are those of 1.x.
 *
 * What a message and a task must be is decided by the operations; here is what a model has to know of it. Every request to
 * the model carries these texts: they say what is needed, once.
 */

import { z } from 'zod';
import { invalidRequest } from '../domain/invalid-request.ts';
import { maxScheduleCharacters, minIntervalMs, scheduleTypes } from '../domain/schedule.ts';
import { contextModes } from '../domain/task.ts';
import { maxIdCharacters, maxNameCharacters, textFault } from '../domain/text.ts';
import { maxTimezoneCharacters } from '../domain/timezone.ts';
import { asPauseFault, asResumeFault, asScheduleFault, asUpdateFault } from './faults.ts';
import { listAllTasks } from './list-tasks.ts';
import { describeState } from './task-text.ts';
import { defineTool, type Tool } from './tool.ts';

const text = z.string().check((context) => {
  const message = textFault(context.value);
  if (message !== null) context.issues.push({ code: 'custom', message, input: context.value });
});

const id = text.min(1).max(maxIdCharacters);
const taskId = id.describe('The id of the task, as schedule_task and list_tasks tell it.');
const scheduleType = z.enum(scheduleTypes).describe('How schedule_value is read.');
const scheduleValue = text
  .max(maxScheduleCharacters)
  .describe(
    'cron: "0 9 * * 1-5" (5 fields, or 6 with seconds first, or a name such as "@daily"). interval: milliseconds in digits, ' +
      '"3600000". once: local time without a zone suffix, "2026-12-31T18:30:00".',
  );
const contextMode = z
  .enum(contextModes)
  .describe(
    'group: the task runs in the conversation and knows what was said there; its prompt and its answer become messages of ' +
      'it. isolated: it knows nothing but its prompt.',
  );
const prompt = text.describe('What to do, written for somebody who has to do it without asking back.');

const harmless = { readOnlyHint: false, destructiveHint: false, openWorldHint: false };

const sendMessageTool = defineTool({
  name: 'send_message',
  description:
    'Sends a message at once, while you go on working: to report progress, or to say more than one thing. Your final answer ' +
    'is delivered by itself; do not send it with this tool as well.',
  input: z.strictObject({
    text,
    sender: text
      .max(maxNameCharacters)
      .refine((name) => name.trim() !== '', { error: 'must not be blank' })
      .exactOptional()
      .describe('The name or role in which you speak, if not your own.'),
  }),
  annotations: { ...harmless, title: 'Send a message', idempotentHint: false },
  act: async ({ backend }, { text: message, sender = null }) => {
    await backend.sendMessage({ text: message, sender });
    return 'Message queued.';
  },
});

const scheduleTask = defineTool({
  name: 'schedule_task',
  description: `Schedules a task: an agent is given its prompt when it is due, later or again and again, and works on it by itself.
schedule_type and schedule_value go together:
- cron, "0 9 * * 1-5": at 9:00 from Monday to Friday.
- interval, "3600000": every hour, for the first time in an hour; at least "${minIntervalMs}".
- once, "2026-12-31T18:30:00": at this local time; one that is past is due at once.
Times of cron and once are in the task's time zone. An outside cron makes the server look for due tasks: a task runs soon after its time, not to the second.`,
  input: z.strictObject({
    prompt,
    schedule_type: scheduleType,
    schedule_value: scheduleValue,
    context_mode: contextMode
      .describe(`${contextMode.description} Without it: group where there is a conversation, else isolated.`)
      .exactOptional(),
    target_conversation_id: id
      .exactOptional()
      .describe('The conversation that the task belongs to. Without it: the one that you are in.'),
    id: text
      .exactOptional()
      .describe(
        'A name for the task, such as "daily-report": letters, digits, ".", "_", "-". Without it: a random one.',
      ),
    timezone: text
      .max(maxTimezoneCharacters)
      .exactOptional()
      .describe('Such as "Europe/Berlin". Without it: the server\'s.'),
  }),
  annotations: { ...harmless, title: 'Schedule a task', idempotentHint: false },
  act: async ({ backend, now }, args) => {
    const { schedule_type, schedule_value, context_mode, target_conversation_id: target, ...named } = args;
    const conversationId = target ?? backend.conversationId;
    const task = await backend
      .createTask({
        ...named,
        scheduleType: schedule_type,
        scheduleValue: schedule_value,
        contextMode: context_mode ?? (conversationId === null ? 'isolated' : 'group'),
        conversationId,
      })
      .catch((error: unknown) => {
        throw asScheduleFault(error, target);
      });
    return `Task ${task.id} created; ${describeState(task, now)}.`;
  },
});

const listTasks = defineTool({
  name: 'list_tasks',
  description: 'Lists the scheduled tasks of all conversations with their schedules, times and prompts.',
  input: z.strictObject({}),
  annotations: { title: 'List tasks', readOnlyHint: true, openWorldHint: false },
  act: ({ backend, now }) => listAllTasks(backend, now),
});

const pauseTask = defineTool({
  name: 'pause_task',
  description: 'Pauses a task: it does not run until resume_task.',
  input: z.strictObject({ task_id: taskId }),
  annotations: { ...harmless, title: 'Pause a task', idempotentHint: true },
  act: async ({ backend }, { task_id }) => {
    const task = await backend.updateTask(task_id, { status: 'paused' }).catch((error: unknown) => {
      throw asPauseFault(error);
    });
    return `Task ${task.id} paused.`;
  },
});

const resumeTask = defineTool({
  name: 'resume_task',
  description:
    'Resumes a paused task. If its time passed meanwhile, it goes on with the next one; one that runs once is then due at once.',
  input: z.strictObject({ task_id: taskId }),
  annotations: { ...harmless, title: 'Resume a task', idempotentHint: true },
  act: async ({ backend, now }, { task_id }) => {
    const task = await backend.updateTask(task_id, { status: 'active' }).catch((error: unknown) => {
      throw asResumeFault(error);
    });
    return `Task ${task.id} resumed; ${describeState(task, now)}.`;
  },
});

const cancelTask = defineTool({
  name: 'cancel_task',
  description: 'Cancels a task and deletes it, with the log of its runs.',
  input: z.strictObject({ task_id: taskId }),
  annotations: { ...harmless, title: 'Cancel a task', destructiveHint: true, idempotentHint: true },
  act: async ({ backend }, { task_id }) => {
    await backend.deleteTask(task_id);
    return `Task ${task_id} canceled.`;
  },
});

const updateTask = defineTool({
  name: 'update_task',
  description:
    'Changes what is given of a task. A new schedule begins anew, and makes a completed task active again; any other change ' +
    'leaves the next run as it is.',
  input: z.strictObject({
    task_id: taskId,
    prompt: prompt.exactOptional(),
    schedule_type: scheduleType.exactOptional(),
    schedule_value: scheduleValue.exactOptional(),
    context_mode: contextMode.exactOptional(),
  }),
  annotations: { ...harmless, title: 'Change a task', destructiveHint: true, idempotentHint: true },
  act: async ({ backend, now }, { task_id, ...given }) => {
    if (Object.keys(given).length === 0)
      throw invalidRequest([
        { path: '', message: 'nothing is to be changed; give prompt, schedule_type, schedule_value or context_mode' },
      ]);
    const { prompt: newPrompt, schedule_type, schedule_value, context_mode } = given;
    const task = await backend
      .updateTask(task_id, {
        ...(newPrompt === undefined ? {} : { prompt: newPrompt }),
        ...(schedule_type === undefined ? {} : { scheduleType: schedule_type }),
        ...(schedule_value === undefined ? {} : { scheduleValue: schedule_value }),
        ...(context_mode === undefined ? {} : { contextMode: context_mode }),
      })
      .catch((error: unknown) => {
        throw asUpdateFault(error);
      });
    return `Task ${task.id} updated; ${describeState(task, now)}.`;
  },
});

export const tools: Tool[] = [sendMessageTool, scheduleTask, listTasks, pauseTask, resumeTask, cancelTask, updateTask];
