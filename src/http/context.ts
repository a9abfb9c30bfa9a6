/** What the middleware and the handlers of one request share. */

import type { Context, MiddlewareHandler } from 'hono';
import type { TerminalRunStatus } from '../domain/run.ts';
import type { Timings } from '../lib/timings.ts';

/** How a response that is written in pieces came to its end. */
export type StreamEnd = 'complete' | 'client_gone' | 'failed';

/** What a handler adds to the request's log line. */
export type LogEntry = {
  runId: string | null;
  conversationId: string | null;
  taskId: string | null;
  runStatus: TerminalRunStatus | null;
  timings: Timings;
  /** Set by a handler whose response goes on after it has returned: the line is written when this resolves. */
  streamEnd: Promise<StreamEnd> | null;
};

/** Does the work with the store open and ours; rejects with a `Problem` (503) when it is not, or is not any more. */
export type UseStore = <T>(kind: 'reads' | 'writes', work: () => Promise<T>) => Promise<T>;

export type AppEnv = { Variables: { requestId: string; entry: LogEntry; useStore: UseStore } };
export type AppContext = Context<AppEnv>;
export type AppMiddleware = MiddlewareHandler<AppEnv>;

/** What the request is about, by what it says itself: it need not be there. */
export function noteConversation(c: AppContext, id: string): void {
  c.get('entry').conversationId = id;
}

export function noteTask(c: AppContext, id: string | null): void {
  c.get('entry').taskId = id;
}
