/** GET /health */

import { answerHealth, type HealthAnswerDeps } from '../health.ts';
import { healthResponse } from '../health-json.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';

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

export function addHealthRoutes(app: App, deps: HealthAnswerDeps): void {
  addRoute(app, healthRoute, async (c) => {
    const { status, headers, body } = await answerHealth(deps);
    return c.json(body, status, headers);
  });
}
