/** The OpenAPI 3.1 document, made of the same definitions that validate. */

import { createRoute, OpenAPIHono } from '@hono/zod-openapi';
import { problemResponses, requestHeaders, responseHeaders, securitySchemes, tokenSecurity } from './openapi-parts.ts';
import { type AnyRouteDefinition, problemsOf } from './route.ts';

const description = `A runtime for Claude agents behind an HTTP API.

- Bodies are JSON, at most 1 MB, with \`Content-Type: application/json\` or none.
- Validation is strict: an unknown field, a wrong type, a query parameter that a route does not take are a 400 that names them.
- Every error is \`application/problem+json\` (RFC 9457). A known path with another method is a 405 with \`Allow\`.
- Times are UTC, ISO 8601. Durations are milliseconds (\`…_ms\`).
- Lists have \`limit\` and \`cursor\`, and answer with \`next_cursor\`.`;

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

export function makeOpenApiDocument(definitions: AnyRouteDefinition[], version: string): OpenApiDocument {
  const api = new OpenAPIHono();
  for (const [name, scheme] of Object.entries(securitySchemes))
    api.openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  for (const definition of definitions) api.openAPIRegistry.registerPath(toOperation(definition));
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'PicoClaw', version, description },
    tags: [{ name: 'Conversations' }, { name: 'Tasks' }, { name: 'Operation' }],
  });
}

function toOperation(definition: AnyRouteDefinition) {
  const { method, path, operationId, tag, summary, params, query, body, open = false } = definition;
  const takesBody = body.presence !== 'none';
  return createRoute({
    method,
    path,
    operationId,
    tags: [tag],
    summary,
    description: definition.description,
    security: open ? [] : tokenSecurity,
    request: {
      headers: requestHeaders,
      params,
      query,
      ...(takesBody
        ? { body: { required: body.presence === 'required', content: { 'application/json': { schema: body.schema } } } }
        : {}),
    },
    responses: {
      ...Object.fromEntries(
        Object.entries(definition.success).map(([status, response]) => [
          status,
          { ...response, headers: responseHeaders },
        ]),
      ),
      ...problemResponses(problemsOf(definition)),
    },
  });
}
