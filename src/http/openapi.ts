/**
 * The OpenAPI 3.1 document, made of the same definitions that validate. What is only in the document (examples, the events
 * of a stream) is imported here, and this only when somebody asks for the document.
 */

import { createRoute, OpenAPIHono } from '@hono/zod-openapi';
import { chatEvents } from './chat-events-json.ts';
import { conversationExamples } from './examples/conversations.ts';
import type { Example, OperationExamples } from './examples/example.ts';
import { operationExamples } from './examples/operation.ts';
import { taskExamples } from './examples/tasks.ts';
import {
  headerComponents,
  headersOf,
  problemResponses,
  requestHeaders,
  securitySchemes,
  tokenSecurity,
} from './openapi-parts.ts';
import { type AnyRouteDefinition, problemsOf, type RouteResponse } from './route.ts';

const description = `A runtime for Claude agents behind an HTTP API.

- Bodies are JSON, at most 1 MB, with \`Content-Type: application/json\` or none.
- Validation is strict: an unknown field, a wrong type, a query parameter that a route does not take are a 400 that names them.
- Every error is \`application/problem+json\` (RFC 9457). An unknown path is a 404 \`not_found\`, a known path with another method a 405
  \`method_not_allowed\` with \`Allow\`.
- Times are UTC, ISO 8601. Durations are milliseconds (\`…_ms\`).
- Lists have \`limit\` and \`cursor\`, and answer with \`next_cursor\`.`;

const tags: { name: AnyRouteDefinition['tag']; description: string }[] = [
  { name: 'Conversations', description: 'Talk to the agent, and read what was said.' },
  { name: 'Tasks', description: 'What the agent is to do later, or again and again.' },
  { name: 'Operation', description: 'For whoever runs the server.' },
];

const servers = [
  { url: '/', description: 'The server that this document comes from.' },
  { url: 'http://127.0.0.1:9000', description: 'A server on your own machine.' },
];

/** By operation. */
export const examples: Record<string, OperationExamples> = {
  ...conversationExamples,
  ...taskExamples,
  ...operationExamples,
};

export type OpenApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>;

export function makeOpenApiDocument(definitions: AnyRouteDefinition[], version: string): OpenApiDocument {
  const api = new OpenAPIHono();
  const { openAPIRegistry: registry } = api;
  for (const [name, scheme] of Object.entries(securitySchemes))
    registry.registerComponent('securitySchemes', name, scheme);
  for (const [name, header] of Object.entries(headerComponents)) registry.registerComponent('headers', name, header);
  registry.register('ChatEvents', chatEvents);
  for (const definition of definitions) registry.registerPath(toOperation(definition));
  const license = { name: 'MIT', identifier: 'MIT' };
  return api.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'PicoClaw', version, description, license },
    servers,
    tags,
  });
}

function toOperation(definition: AnyRouteDefinition) {
  const { method, path, operationId, tag, summary, params, query, body, open = false } = definition;
  const takesBody = body.presence !== 'none';
  const of = requireExamples(operationId);
  const requestBody = {
    required: body.presence === 'required',
    content: { 'application/json': { schema: body.schema, examples: of.requests ?? {} } },
  };
  return createRoute({
    method,
    path,
    operationId,
    tags: [tag],
    summary,
    description: definition.description,
    security: open ? [] : tokenSecurity,
    request: { headers: requestHeaders, params, query, ...(takesBody ? { body: requestBody } : {}) },
    responses: {
      // Before the successes: the 503 of GET /health is one of those.
      ...problemResponses(problemsOf(definition), of),
      ...Object.fromEntries(
        Object.entries(definition.success).map(([status, response]) => [
          status,
          toResponse(Number(status), response, of),
        ]),
      ),
    },
  });
}

function toResponse(status: number, { description, content = {} }: RouteResponse, of: OperationExamples) {
  const json = content['application/json'];
  const streams = content['text/event-stream'] !== undefined;
  const headers = headersOf(status, { streams });
  if (json === undefined) return { description, headers };
  const examples: Record<string, Example> = of.responses[status] ?? {};
  return {
    description,
    headers,
    content: {
      'application/json': { schema: json.schema, examples },
      ...(streams ? { 'text/event-stream': { schema: streamSchema, example: of.stream } } : {}),
    },
  };
}

/** OpenAPI 3.1 has no word for the items of a stream; JSON Schema's for what is within a string is the nearest. */
const streamSchema = {
  type: 'string' as const,
  description: 'With `"stream": true`: server-sent events. `contentSchema` is what they are once they are parsed.',
  contentMediaType: 'text/event-stream',
  contentSchema: { $ref: '#/components/schemas/ChatEvents' },
};

function requireExamples(operationId: string): OperationExamples {
  const found = examples[operationId];
  if (found === undefined) throw new Error(`the operation ${operationId} has no examples`);
  return found;
}
