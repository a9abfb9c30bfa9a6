/** GET /health */

import { type HealthReport, type HealthSettings, healthResponse, toHealthResponse } from '../health.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';

export type HealthRouteDeps = {
  health(): Promise<HealthReport>;
  stopping(): boolean;
  settings: HealthSettings;
};

const content = { 'application/json': { schema: healthResponse } };

export const healthRoute = defineRoute({
  method: 'get',
  path: '/health',
  operationId: 'getHealth',
  tag: 'Operation',
  summary: 'Whether the server can serve',
  description: 'Needs no token, touches nothing on the volumes.',
  params: none,
  query: none,
  body: noBody,
  open: true,
  success: {
    200: { description: 'All is well.', content },
    503: { description: 'Degraded: the members say by what. Also while the server is shutting down.', content },
  },
  problems: [],
});

const retryAfterS = 5;

export function addHealthRoutes(app: App, deps: HealthRouteDeps): void {
  addRoute(app, healthRoute, async (c) => {
    const body = toHealthResponse(await deps.health(), { settings: deps.settings, stopping: deps.stopping() });
    return body.status === 'ok' ? c.json(body) : c.json(body, 503, { 'Retry-After': String(retryAfterS) });
  });
}
