/**
 * Whatever is thrown becomes a problem. Only a `Problem` says to the caller what went wrong; anything else is a bug or
 * a passing fault, is logged with its stack, and leaves as `internal_error` with nothing internal in it.
 */

import { Problem } from '../domain/problem.ts';
import type { Log } from '../lib/log.ts';
import type { AppContext, AppMiddleware } from './context.ts';

/** A client that is told to come back is told when; problems that know better carry their own `retryAfterS`. */
const defaultRetryAfterS = 5;

export function toProblem(thrown: unknown, input: { log: Log; requestId: string }): Problem {
  if (thrown instanceof Problem) return thrown;
  input.log.error({ request_id: input.requestId, err: thrown }, 'unexpected error');
  return new Problem('internal_error', 'internal error', { cause: thrown });
}

/** The problem, told of the conversation that it happened in, where it does not say so itself. */
export function withConversation(problem: Problem, conversationId: string): Problem {
  if (problem.context.conversationId !== undefined) return problem;
  return new Problem(problem.code, problem.message, { ...problem.context, conversationId });
}

export function problemResponse(problem: Problem, requestId: string): Response {
  const headers = new Headers({ 'Content-Type': 'application/problem+json' });
  const { status } = problem;
  const retryAfterS =
    problem.context.retryAfterS ?? (status === 429 || status === 503 ? defaultRetryAfterS : undefined);
  if (retryAfterS !== undefined) headers.set('Retry-After', String(retryAfterS));
  if (problem.context.allow) headers.set('Allow', problem.context.allow.join(', '));
  // RFC 9110 §11.6.1: a 401 names the scheme that would do.
  if (status === 401) headers.set('WWW-Authenticate', 'Bearer realm="picoclaw"');
  return new Response(JSON.stringify(problem.toBody(requestId)), { status, headers });
}

/** Answers a thrown value in the request's name. */
export function answerError(c: AppContext, thrown: unknown, log: Log): Response {
  const requestId = c.get('requestId');
  const entry = c.get('entry');
  // A stream that was begun is not the response any more, and nobody reads it to its end.
  entry.streamEnd = null;
  const told = toProblem(thrown, { log, requestId });
  // The run goes on: its answer is found by its conversation.
  const problem =
    entry.runId === null || entry.conversationId === null ? told : withConversation(told, entry.conversationId);
  entry.conversationId ??= problem.context.conversationId ?? null;
  entry.taskId ??= problem.context.taskId ?? null;
  return problemResponse(problem, requestId);
}

/** The framework gives only instances of Error to its error handler; this catches what else can be thrown. */
export function catchAll(log: Log): AppMiddleware {
  return async (c, next) => {
    try {
      await next();
    } catch (thrown) {
      c.res = answerError(c, thrown, log);
    }
  };
}
