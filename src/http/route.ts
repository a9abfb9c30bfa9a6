/**
 * A route said once: the same definition validates its requests and is its part of the OpenAPI document.
 *
 * The validators that come with the framework's OpenAPI package are not used: they refuse a JSON body without a content
 * type, take a body they do not understand for an empty one, and know nothing of a query parameter given twice.
 */

import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi';
import { Problem, type ProblemCode } from '../domain/problem.ts';
import { readJson } from './body.ts';
import type { AppContext, AppEnv } from './context.ts';
import { problemResponses, requestHeaders, responseHeaders, tokenSecurity } from './openapi-parts.ts';
import { requireValid } from './validate.ts';

export type App = OpenAPIHono<AppEnv>;

export type RouteDefinition<Params, Query, Body> = {
  method: 'get' | 'post' | 'put' | 'delete';
  /** OpenAPI's notation: `/chat/{id}`. */
  path: string;
  operationId: string;
  tag: string;
  summary: string;
  description: string;
  params: Params;
  query: Query;
  body: RouteBody<Body>;
  /** True: no token is needed. */
  open?: boolean;
  success: { [status: number]: { description: string; content?: Record<string, ResponseContent> } };
  /** Beside those that every such route has (400, 401, 413, 415, 500). */
  problems: ProblemCode[];
};

/** An optional body that is empty is read as `{}`; of a route that takes none, no body is read. */
export type RouteBody<Body> = { presence: 'required' | 'optional' | 'none'; schema: Body };

type ResponseContent = { schema: z.ZodType; example?: unknown };

export const none = z.strictObject({});
export const noBody: RouteBody<typeof none> = { presence: 'none', schema: none };

type Input<Params, Query, Body> = {
  params: z.output<Params>;
  query: z.output<Query>;
  body: z.output<Body>;
};

export function addRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  app: App,
  definition: RouteDefinition<Params, Query, Body>,
  handler: (c: AppContext, input: Input<Params, Query, Body>) => Promise<Response> | Response,
): void {
  const route = describe(definition);
  app.openAPIRegistry.registerPath(route);
  app.on(definition.method.toUpperCase(), route.getRoutingPath(), async (c) =>
    handler(c, {
      params: requireValid(definition.params, c.req.param()),
      query: requireValid(definition.query, readQuery(c)),
      body: requireValid(definition.body.schema, await readBody(c, definition.body.presence)),
    }),
  );
}

async function readBody(c: AppContext, presence: RouteBody<unknown>['presence']): Promise<unknown> {
  if (presence === 'none') return {};
  const body = await readJson(c);
  if (body !== undefined) return body;
  if (presence === 'optional') return {};
  const message = 'the body is empty; send a JSON object';
  throw new Problem('invalid_request', message, { errors: [{ path: '', message }] });
}

/** Without a prototype, so that no parameter's name means anything but itself. */
function readQuery(c: AppContext): unknown {
  const query = Object.create(null);
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (Object.hasOwn(query, name))
      throw new Problem('invalid_request', `${name}: is given more than once`, {
        errors: [{ path: name, message: 'is given more than once' }],
      });
    query[name] = value;
  }
  return query;
}

function describe<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  definition: RouteDefinition<Params, Query, Body>,
) {
  const { method, path, operationId, tag, summary, description, params, query, body, open = false } = definition;
  const takesBody = body.presence !== 'none';
  return createRoute({
    method,
    path,
    operationId,
    tags: [tag],
    summary,
    description,
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
      ...problemResponses([
        'invalid_request',
        ...(takesBody ? (['malformed_json', 'body_too_large', 'unsupported_media_type'] as const) : []),
        ...(open ? [] : (['unauthorized'] as const)),
        'internal_error',
        ...definition.problems,
      ]),
    },
  });
}
