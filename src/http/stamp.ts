/** The headers of every response, errors and streams included: `X-Request-ID`, `X-Build-Version`, `X-Build-Commit`. */

import { newId } from '../lib/ids.ts';
import type { AppMiddleware } from './context.ts';

export type Build = { version: string; commit: string };

export function stamp(build: Build): AppMiddleware {
  return async (c, next) => {
    c.set('requestId', chooseRequestId(c.req.header('x-request-id')));
    c.set('entry', { runId: null, conversationId: null, taskId: null, runStatus: null, timings: {}, streamEnd: null });
    await next();
    stampHeaders(c.res.headers, c.get('requestId'), build);
  };
}

/** Headers that are being put together. */
export type HeaderTarget = { set(name: string, value: string): unknown };

export function stampHeaders(headers: HeaderTarget, requestId: string, build: Build): void {
  headers.set('X-Request-ID', requestId);
  headers.set('X-Build-Version', build.version);
  headers.set('X-Build-Commit', build.commit);
}

/** The caller's, if it is 1 to 128 visible ASCII characters: anything else could forge log lines or headers. */
export function chooseRequestId(given: string | undefined): string {
  return given !== undefined && /^[\x21-\x7e]{1,128}$/.test(given) ? given : newId('req');
}
