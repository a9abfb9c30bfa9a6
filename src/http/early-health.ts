/**
 * GET /health before the app is loaded: what a platform asks as soon as the server listens, and waits for.
 *
 * The app takes longer to load than all else that a start does: its schemas, and node's own Request and Response. So this
 * imports none of it, and answers nothing but what the route (routes/health.ts) would answer in the same way.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../lib/log.ts';
import { answerHealth, type HealthAnswerDeps } from './health.ts';
import { type Build, chooseRequestId, stampHeaders } from './stamp.ts';
import { stampTimings } from './timing.ts';

/** False: the request is the app's. */
export type EarlyAnswer = (incoming: IncomingMessage, outgoing: ServerResponse) => boolean;

type Deps = HealthAnswerDeps & { settings: Build; log: Log };

export function makeEarlyHealth(deps: Deps): EarlyAnswer {
  return (incoming, outgoing) => {
    if (!isPlain(incoming)) return false;
    void answer(deps, incoming, outgoing);
    return true;
  };
}

/** Neither a query to refuse nor a host that could be at fault. */
function isPlain({ method, url, headers }: IncomingMessage): boolean {
  return method === 'GET' && url === '/health' && /^[a-z0-9.-]+(:\d{1,5})?$/i.test(headers.host ?? '');
}

async function answer(deps: Deps, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const startedAt = performance.now();
  const given = incoming.headers['x-request-id'];
  const requestId = chooseRequestId(typeof given === 'string' ? given : undefined);
  const { status, headers: own, body } = await answerHealth(deps);
  const total = performance.now() - startedAt;
  const headers = new Map([['Content-Type', 'application/json'], ...Object.entries(own)]);
  stampHeaders(headers, requestId, deps.settings);
  stampTimings(headers, { total });
  const entry = { request_id: requestId, method: 'GET', route: '/health', status, duration_ms: Math.round(total) };
  deps.log.info(entry, 'request');
  outgoing.statusCode = status;
  outgoing.setHeaders(headers).end(JSON.stringify(body));
}
