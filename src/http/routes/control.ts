/** POST /control/stop */

import { z } from '@hono/zod-openapi';
import { type App, addRoute, defineRoute, none } from '../route.ts';

export type ControlRouteDeps = {
  /** Begins a shutdown and returns at once; again, it does nothing. */
  requestStop(reason: string | null): void;
};

const stopRequest = z
  .strictObject({
    reason: z.string().min(1).max(500).optional().openapi({
      description: 'Goes to the log and comes back in the response; `api-stop` without it.',
      example: 'deploy of 2.1.0',
    }),
  })
  .openapi('StopRequest');

const stopResponse = z
  .strictObject({ status: z.literal('stopping'), reason: z.string(), message: z.string() })
  .openapi('StopResponse');

export const stopRoute = defineRoute({
  method: 'post',
  path: '/control/stop',
  operationId: 'stop',
  tag: 'Operation',
  summary: 'Stop the server',
  description:
    'No new work is taken, runs under way have SHUTDOWN_GRACE_MS to end, what was answered is on the volume, and the ' +
    'process exits with 0. The body may be left out. Asking again changes nothing.',
  params: none,
  query: none,
  body: { presence: 'optional', schema: stopRequest },
  success: {
    200: { description: 'The shutdown has begun.', content: { 'application/json': { schema: stopResponse } } },
  },
  problems: [],
});

export function addControlRoutes(app: App, deps: ControlRouteDeps): void {
  addRoute(app, stopRoute, (c, { body }) => {
    const answer: z.output<typeof stopResponse> = {
      status: 'stopping',
      reason: body.reason ?? 'api-stop',
      message: 'The server takes no new work, lets runs under way end, and exits.',
    };
    // The server lets responses under way end, this one included.
    deps.requestStop(body.reason ?? null);
    return c.json(answer);
  });
}
