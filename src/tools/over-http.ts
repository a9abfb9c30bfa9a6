/**
 * The tools' way to a server in another process: its HTTP API.
 *
 * The server's problems come back as the same `Problem`s that its operations reject with; what is wrong with the way to it
 * is a `ToolError` that names the server. Nothing is asked twice: what was asked may have happened although no answer came.
 */

import { z } from 'zod';
import { catalogue, conversationNotFound, Problem, type ProblemCode, taskNotFound } from '../domain/problem.ts';
import { scheduleTypes } from '../domain/schedule.ts';
import { contextModes, taskStatuses } from '../domain/task.ts';
import { codeOf } from '../lib/error-code.ts';
import { type ToolBackend, ToolError, type ToolTask } from './backend.ts';

export type OverHttpDeps = {
  fetch: typeof fetch;
  /** Of the server; a path in it is kept. */
  url: string;
  token: string | null;
  conversationId: string | null;
};

/** The server syncs before it answers, on a slow volume perhaps. */
const answerMs = 30_000;
const tasksPerPage = 200;

export function makeBackendOverHttp(deps: OverHttpDeps): ToolBackend {
  const { conversationId } = deps;
  const api = (method: string, path: string, body?: unknown) => ask(deps, { method, path, body });
  return {
    conversationId,
    sendMessage: async ({ text, sender }) => {
      if (conversationId === null)
        throw new ToolError(
          'no conversation is bound: set PICOCLAW_CONVERSATION_ID in the environment of `picoclaw mcp` to send messages',
        );
      const body = { text, ...(sender === null ? {} : { sender }) };
      read(deps, z.unknown(), await api('POST', `${conversationPath(conversationId)}/outbound`, body));
    },
    createTask: async ({ scheduleType, scheduleValue, contextMode, conversationId: target, ...named }) => {
      // The route makes a conversation that is not there.
      if (target !== null) await api('GET', conversationPath(target));
      const body = {
        ...named,
        schedule_type: scheduleType,
        schedule_value: scheduleValue,
        context_mode: contextMode,
        ...(target === null ? {} : { conversation_id: target }),
      };
      return read(deps, taskJson, await api('POST', '/task', body));
    },
    listTasks: async (cursor) => {
      const query = new URLSearchParams({ limit: String(tasksPerPage), ...(cursor === null ? {} : { cursor }) });
      const { tasks, next_cursor } = read(deps, taskListJson, await api('GET', `/tasks?${query}`));
      return { items: tasks, nextCursor: next_cursor };
    },
    updateTask: async (id, { scheduleType, scheduleValue, contextMode, ...named }) => {
      const body = {
        ...named,
        ...(scheduleType === undefined ? {} : { schedule_type: scheduleType }),
        ...(scheduleValue === undefined ? {} : { schedule_value: scheduleValue }),
        ...(contextMode === undefined ? {} : { context_mode: contextMode }),
      };
      return read(deps, taskJson, await ofTask(id, (path) => api('PUT', path, body)));
    },
    deleteTask: async (id) => {
      await ofTask(id, (path) => api('DELETE', path));
    },
  };
}

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

const problemJson = z.looseObject({
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).exactOptional(),
  conversation_id: z.string().exactOptional(),
  task_id: z.string().exactOptional(),
});

type Ask = { method: string; path: string; body: unknown };

/** The JSON of a success; undefined when that has no body. */
async function ask(deps: OverHttpDeps, { method, path, body }: Ask): Promise<unknown> {
  const { status, text } = await exchange(deps, path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(deps.token === null ? {} : { authorization: `Bearer ${deps.token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    // What a redirection asks for is not what was meant: it turns a POST into a GET.
    redirect: 'manual',
    signal: AbortSignal.timeout(answerMs),
  });
  if (status === 401)
    throw new ToolError(
      `unauthorized: the PicoClaw server at ${deps.url} refused the token; set API_TOKEN to one that it has`,
    );
  if (status === 204) return undefined;
  const json = parseJson(text);
  if (status >= 200 && status < 300) return json;
  throw toFault(json) ?? notUnderstood(deps, `status ${status}`);
}

async function exchange(
  deps: OverHttpDeps,
  path: string,
  init: RequestInit,
): Promise<{ status: number; text: string }> {
  try {
    const response = await deps.fetch(`${deps.url.replace(/\/+$/, '')}${path}`, init);
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'TimeoutError')
      throw new ToolError(
        `the PicoClaw server at ${deps.url} gave no answer within ${answerMs / 1000} s; what was asked may have happened`,
        { cause },
      );
    throw new ToolError(
      `the PicoClaw server at ${deps.url} cannot be reached (${reasonOf(cause)}); is it running, and is PICOCLAW_URL right?`,
      { cause },
    );
  }
}

function read<Schema extends z.ZodType>(deps: OverHttpDeps, schema: Schema, json: unknown): z.output<Schema> {
  const parsed = schema.safeParse(json);
  if (parsed.success) return parsed.data;
  throw notUnderstood(deps, 'another JSON than expected', parsed.error);
}

function notUnderstood({ url }: OverHttpDeps, what: string, cause?: unknown): ToolError {
  return new ToolError(`the server at ${url} answered with ${what}; is it a PicoClaw server of version 2?`, { cause });
}

/** Null for what is no problem of a PicoClaw server. */
function toFault(json: unknown): Problem | ToolError | null {
  const parsed = problemJson.safeParse(json);
  if (!parsed.success) return null;
  const { code, detail, errors, conversation_id, task_id } = parsed.data;
  // Of a newer server.
  if (!isCode(code)) return new ToolError(detail);
  return new Problem(code, detail, {
    ...(errors === undefined ? {} : { errors }),
    ...(conversation_id === undefined ? {} : { conversationId: conversation_id }),
    ...(task_id === undefined ? {} : { taskId: task_id }),
  });
}

function isCode(code: string): code is ProblemCode {
  return Object.hasOwn(catalogue, code);
}

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

/** `fetch` fails with an error that has the reason as its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return codeOf(cause) ?? (cause instanceof Error ? cause.message : String(cause));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
