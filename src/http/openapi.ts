/** The OpenAPI 3.1 document, made of the same definitions that validate. */

import { type OpenAPIHono, z } from '@hono/zod-openapi';
import type { AppEnv } from './context.ts';
import { securitySchemes } from './openapi-parts.ts';
import { type App, addRoute, noBody, none } from './route.ts';

const description = `A runtime for Claude agents behind an HTTP API.

- Bodies are JSON, at most 1 MB, with \`Content-Type: application/json\` or none.
- Validation is strict: an unknown field, a wrong type, a query parameter that a route does not take are a 400 that names them.
- Every error is \`application/problem+json\` (RFC 9457). A known path with another method is a 405 with \`Allow\`.
- Times are UTC, ISO 8601. Durations are milliseconds (\`…_ms\`).
- Lists have \`limit\` and \`cursor\`, and answer with \`next_cursor\`.`;

export function makeOpenApiDocument(app: OpenAPIHono<AppEnv>, version: string) {
  for (const [name, scheme] of Object.entries(securitySchemes))
    if (!app.openAPIRegistry.definitions.some((one) => one.type === 'component' && one.name === name))
      app.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'PicoClaw', version, description },
    tags: [{ name: 'Conversations' }, { name: 'Operation' }],
  });
}

export function addOpenApiRoute(app: App, version: string): void {
  let document: ReturnType<typeof makeOpenApiDocument> | undefined;
  addRoute(
    app,
    {
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
      success: {
        200: { description: 'OpenAPI 3.1', content: { 'application/json': { schema: z.looseObject({}) } } },
      },
      problems: [],
    },
    (c) => {
      document ??= makeOpenApiDocument(app, version);
      return c.json(document);
    },
  );
}
