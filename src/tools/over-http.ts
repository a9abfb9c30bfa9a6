/** The tools' way to a server in another process: which questions to its HTTP API each of them is, and what they are answered with. */

import { z } from 'zod';
import { conversationNotFound, Problem, taskNotFound } from '../domain/problem.ts';
import { scheduleTypes } from '../domain/schedule.ts';
import { contextModes, taskStatuses } from '../domain/task.ts';
import { askServer, type Question, type Server } from './ask-server.ts';
import { type ToolBackend, ToolError, type ToolTask } from './backend.ts';

export type OverHttpDeps = Server & { conversationId: string | null };

const tasksPerPage = 200;

export function makeBackendOverHttp(deps: OverHttpDeps): ToolBackend {
  const { conversationId } = deps;
  const ask = <Schema extends z.ZodType>(question: Question<Schema>) => askServer(deps, question);
  return {
    conversationId,
    sendMessage: async ({ text, sender }) => {
      if (conversationId === null)
        throw new ToolError(
          'no conversation is bound: set PICOCLAW_CONVERSATION_ID in the environment of `picoclaw mcp` to send messages',
        );
      const path = `${conversationPath(conversationId)}/outbound`;
      const body = { text, ...(sender === null ? {} : { sender }) };
      await ask({ method: 'POST', path, body, wanted: { status: 201, json: messageJson } });
    },
    createTask: async ({ scheduleType, scheduleValue, contextMode, conversationId: target, ...named }) => {
      // The route makes a conversation that is not there.
      if (target !== null)
        await ask({ method: 'GET', path: conversationPath(target), wanted: { status: 200, json: conversationJson } });
      const body = {
        ...named,
        schedule_type: scheduleType,
        schedule_value: scheduleValue,
        context_mode: contextMode,
        ...(target === null ? {} : { conversation_id: target }),
      };
      return ask({ method: 'POST', path: '/task', body, wanted: { status: 201, json: taskJson } });
    },
    listTasks: async (cursor) => {
      const query = new URLSearchParams({ limit: String(tasksPerPage), ...(cursor === null ? {} : { cursor }) });
      const wanted = { status: 200, json: taskListJson };
      const { tasks, next_cursor } = await ask({ method: 'GET', path: `/tasks?${query}`, wanted });
      return { items: tasks, nextCursor: next_cursor };
    },
    updateTask: (id, { scheduleType, scheduleValue, contextMode, ...named }) => {
      const body = {
        ...named,
        ...(scheduleType === undefined ? {} : { schedule_type: scheduleType }),
        ...(scheduleValue === undefined ? {} : { schedule_value: scheduleValue }),
        ...(contextMode === undefined ? {} : { context_mode: contextMode }),
      };
      return ofTask(id, (path) => ask({ method: 'PUT', path, body, wanted: { status: 200, json: taskJson } }));
    },
    deleteTask: (id) =>
      ofTask(id, (path) => ask({ method: 'DELETE', path, wanted: { status: 204, json: z.undefined() } })),
  };
}

const messageJson = z.looseObject({ id: z.string() });

const conversationJson = z.looseObject({ conversation_id: z.string() });

const taskJson = z
  .looseObject({
    id: z.string(),
    conversation_id: z.string().nullable(),
    prompt: z.string(),
    schedule_type: z.enum(scheduleTypes),
    schedule_value: z.string(),
    context_mode: z.enum(contextModes),
    timezone: z.string(),
    next_run: z.string().nullable(),
    last_run: z.string().nullable(),
    last_status: z.string().nullable(),
    status: z.enum(taskStatuses),
  })
  .transform(
    (json): ToolTask => ({
      id: json.id,
      conversationId: json.conversation_id,
      prompt: json.prompt,
      scheduleType: json.schedule_type,
      scheduleValue: json.schedule_value,
      contextMode: json.context_mode,
      timezone: json.timezone,
      nextRun: json.next_run,
      lastRun: json.last_run,
      lastStatus: json.last_status,
      status: json.status,
    }),
  );

const taskListJson = z.looseObject({ tasks: z.array(taskJson), next_cursor: z.string().nullable() });

/** A path that is not a task's, such as `/task/check`, is one without a task. */
async function ofTask<T>(id: string, act: (path: string) => Promise<T>): Promise<T> {
  if (isDots(id)) throw taskNotFound(id);
  try {
    return await act(`/task/${encodeURIComponent(id)}`);
  } catch (error) {
    throw error instanceof Problem && error.code === 'method_not_allowed' ? taskNotFound(id) : error;
  }
}

function conversationPath(id: string): string {
  if (isDots(id)) throw conversationNotFound(id);
  return `/chat/${encodeURIComponent(id)}`;
}

/** A segment of dots is taken as a way through the path, even encoded. */
function isDots(text: string): boolean {
  return text === '.' || text === '..';
}
