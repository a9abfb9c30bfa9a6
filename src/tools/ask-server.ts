/**
 * One question to a PicoClaw server in another process, over its HTTP API.
 *
 * - The server's problems come back as the same `Problem`s that its operations reject with; what is wrong with the way to it
 *   is a `ToolError` that names the server.
 * - No answer passes for a success but the one that the route gives: another program at the URL may say 200 to everything.
 * - Nothing is asked twice: what was asked may have happened although no answer came.
 */

import { z } from 'zod';
import { catalogue, Problem, type ProblemCode } from '../domain/problem.ts';
import { beginningOf } from '../domain/text.ts';
import { codeOf } from '../lib/error-code.ts';
import { ToolError } from './backend.ts';

export type Server = {
  fetch: typeof fetch;
  /** A path in it is kept. */
  url: string;
  token: string | null;
};

export type Question<Schema extends z.ZodType> = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: object;
  /** Of the success: its one status, and its JSON, undefined where it has no body. */
  wanted: { status: number; json: Schema };
};

/** The server syncs before it answers, on a slow volume perhaps. */
const answerMs = 30_000;

/** Rejects with a `Problem` or a `ToolError`. */
export async function askServer<Schema extends z.ZodType>(
  server: Server,
  { method, path, body, wanted }: Question<Schema>,
): Promise<z.output<Schema>> {
  const answer = await exchange(server, path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(server.token === null ? {} : { authorization: `Bearer ${server.token}` }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    // What a redirection asks for is not what was meant: it turns a POST into a GET.
    redirect: 'manual',
    signal: AbortSignal.timeout(answerMs),
  });
  if (answer.status === 401)
    throw new ToolError(
      `unauthorized: the PicoClaw server at ${server.url} refused the token; set API_TOKEN to one that it has`,
    );
  const json = parseJson(answer.text);
  if (answer.status !== wanted.status)
    throw (answer.status >= 400 ? toFault(json) : null) ?? notUnderstood(server, answer);
  const parsed = wanted.json.safeParse(json);
  if (!parsed.success) throw notUnderstood(server, answer, parsed.error);
  return parsed.data;
}

type Answer = { status: number; text: string };

async function exchange({ fetch, url }: Server, path: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}${path}`, init);
    return { status: response.status, text: await response.text() };
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'TimeoutError')
      throw new ToolError(
        `the PicoClaw server at ${url} gave no answer within ${answerMs / 1000} s; what was asked may have happened`,
        { cause },
      );
    throw new ToolError(
      `the PicoClaw server at ${url} cannot be reached (${reasonOf(cause)}); is it running, and is PICOCLAW_URL right?`,
      { cause },
    );
  }
}

const maxShownCharacters = 40;

function notUnderstood({ url }: Server, { status, text }: Answer, cause?: unknown): ToolError {
  const cut = text.length > maxShownCharacters ? '…' : '';
  const body = text === '' ? 'no body' : `${JSON.stringify(beginningOf(text, maxShownCharacters))}${cut}`;
  return new ToolError(
    `the server at ${url} answered with status ${status} and ${body}; is it a PicoClaw server of version 2?`,
    { cause },
  );
}

const problemJson = z.looseObject({
  code: z.string(),
  detail: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).exactOptional(),
  conversation_id: z.string().exactOptional(),
  task_id: z.string().exactOptional(),
});

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
