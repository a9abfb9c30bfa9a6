/**
 * One line a request, when its response has ended. It names the route by its pattern: a body, a query or a token is
 * never in it.
 */

import { matchedRoutes } from 'hono/route';
import type { Log } from '../lib/log.ts';
import type { AppContext, AppMiddleware } from './context.ts';
import { toLogFields } from './timing.ts';

export function requestLog(log: Log): AppMiddleware {
  return async (c, next) => {
    const startedAt = performance.now();
    await next();
    const route = routeOf(c);
    const { streamEnd } = c.get('entry');
    const write = (end: 'complete' | 'client_gone' | 'failed') => {
      const { runId, conversationId, taskId, runStatus, timings } = c.get('entry');
      log.info(
        {
          request_id: c.get('requestId'),
          method: c.req.method,
          route,
          status: c.res.status,
          duration_ms: Math.round(performance.now() - startedAt),
          ...toLogFields(timings),
          ...(runId === null ? {} : { run_id: runId }),
          ...(conversationId === null ? {} : { conversation_id: conversationId }),
          ...(taskId === null ? {} : { task_id: taskId }),
          ...(runStatus === null ? {} : { run_status: runStatus }),
          ...(end === 'client_gone' ? { client_gone: true } : {}),
          ...(end === 'failed' ? { stream_failed: true } : {}),
        },
        'request',
      );
    };
    if (streamEnd === null) write(c.req.raw.signal.aborted ? 'client_gone' : 'complete');
    else void streamEnd.then(write);
  };
}

/** The pattern of the route that the request met; null when it met none. */
function routeOf(c: AppContext): string | null {
  return matchedRoutes(c).find((route) => route.method !== 'ALL')?.path ?? null;
}
