/** GET /openapi.json, and the list of all that it documents. */

import { z } from '@hono/zod-openapi';
import type { OpenApiDocument } from '../openapi.ts';
import { type AnyRouteDefinition, type App, addRoute, defineRoute, noBody, none } from '../route.ts';
import { listSkillsRoute, reloadSkillsRoute } from './admin.ts';
import { chatRoute } from './chat.ts';
import { stopRoute } from './control.ts';
import {
  deleteConversationRoute,
  getConversationRoute,
  listConversationsRoute,
  listMessagesRoute,
} from './conversations.ts';
import { healthRoute } from './health.ts';
import { sendMessageRoute } from './outbound.ts';
import { checkTasksRoute, listTaskRunsRoute, triggerTaskRoute } from './task-runs.ts';
import { createTaskRoute, deleteTaskRoute, getTaskRoute, listTasksRoute, updateTaskRoute } from './tasks.ts';

const openApiRoute = defineRoute({
  method: 'get',
  path: '/openapi.json',
  operationId: 'getOpenApi',
  tag: 'Operation',
  summary: 'This document',
  description: 'Needs no token.',
  params: none,
  query: none,
  body: noBody,
  open: true,
  success: { 200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: z.looseObject({}) } } } },
  problems: [],
});

/** In the order of the document. */
export const routes: AnyRouteDefinition[] = [
  chatRoute,
  listConversationsRoute,
  getConversationRoute,
  listMessagesRoute,
  deleteConversationRoute,
  sendMessageRoute,
  createTaskRoute,
  listTasksRoute,
  getTaskRoute,
  updateTaskRoute,
  deleteTaskRoute,
  listTaskRunsRoute,
  triggerTaskRoute,
  checkTasksRoute,
  healthRoute,
  listSkillsRoute,
  reloadSkillsRoute,
  stopRoute,
  openApiRoute,
];

export function addOpenApiRoutes(app: App, { settings }: { settings: { version: string } }): void {
  let document: Promise<OpenApiDocument> | undefined;
  addRoute(app, openApiRoute, async (c) => {
    document ??= import('../openapi.ts').then(({ makeOpenApiDocument }) =>
      makeOpenApiDocument(routes, settings.version),
    );
    return c.json(await document);
  });
}
