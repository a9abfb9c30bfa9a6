/**
 * `Server-Timing` (W3C): what a response took and where, in milliseconds. A stream's header is sent when it begins; what comes
 * later is in the request's log line.
 */

import { type Timings, withTimings } from '../lib/timings.ts';
import type { AppMiddleware } from './context.ts';
import type { HeaderTarget } from './stamp.ts';

export const serverTiming: AppMiddleware = async (c, next) => {
  const startedAt = performance.now();
  const { timings } = c.get('entry');
  await withTimings(timings, next);
  stampTimings(c.res.headers, { ...timings, total: performance.now() - startedAt });
};

export function stampTimings(headers: HeaderTarget, parts: Timings & { total: number }): void {
  const dur = Object.entries(parts).map(([name, ms]) => `${name};dur=${ms.toFixed(1)}`);
  headers.set('Server-Timing', dur.join(', '));
}

/** As the log has them: `sync_ms` and the like, whole milliseconds. */
export function toLogFields(timings: Timings): Record<string, number> {
  return Object.fromEntries(Object.entries(timings).map(([name, ms]) => [`${name}_ms`, Math.round(ms)]));
}
