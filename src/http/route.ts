/**
 * A route said once: the same definition validates its requests and is its part of the OpenAPI document.
 *
 * The validators that come with the framework's OpenAPI package are not used: they refuse a JSON body without a content
 * type, take a body they do not understand for an empty one, and know nothing of a query parameter given twice.
 */

import { z } from '@hono/zod-openapi';
import type { Hono } from 'hono';
import { invalidRequest } from '../domain/invalid-request.ts';
import type { ProblemCode } from '../domain/problem.ts';
import { readJson } from './body.ts';
import type { AppContext, AppEnv } from './context.ts';
import { requireValid } from './validate.ts';

export type App = Hono<AppEnv>;

export type RouteDefinition<Params, Query, Body> = {
  method: 'get' | 'post' | 'put' | 'delete';
  /** OpenAPI's notation: `/chat/{id}`. */
  path: string;
  operationId: string;
  tag: 'Conversations' | 'Tasks' | 'Operation';
  summary: string;
  description: string;
  params: Params;
  query: Query;
  body: RouteBody<Body>;
  /** What it does with the store; left out when it has nothing to do with it. */
  store?: 'reads' | 'writes';
  /** True: no token is needed. */
  open?: boolean;
  success: Record<number, RouteResponse>;
  /** Beside those that every such route has, `problemsOf`. */
  problems: ProblemCode[];
};

export type AnyRouteDefinition = RouteDefinition<z.ZodObject, z.ZodObject, z.ZodType>;

/** An optional body that is empty is read as `{}`; of a route that takes none, no body is read. */
export type RouteBody<Body> = { presence: 'required' | 'optional' | 'none'; schema: Body };

/** Without content: it has no body. */
export type RouteResponse = { description: string; content?: Record<string, { schema: z.ZodType }> };

export const none = z.strictObject({});
export const noBody: RouteBody<typeof none> = { presence: 'none', schema: none };

type Input<Params, Query, Body> = {
  params: z.output<Params>;
  query: z.output<Query>;
  body: z.output<Body>;
};

/** The definition as it is; the call is there for its types. */
export function defineRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  definition: RouteDefinition<Params, Query, Body>,
): RouteDefinition<Params, Query, Body> {
  return definition;
}

/** Every problem that the route may answer. */
export function problemsOf({ body, open, store, problems }: AnyRouteDefinition): ProblemCode[] {
  return [
    'invalid_request',
    ...(body.presence === 'none' ? [] : (['malformed_json', 'body_too_large', 'unsupported_media_type'] as const)),
    ...(open ? [] : (['unauthorized'] as const)),
    'internal_error',
    ...(store === undefined
      ? []
      : (['store_owned_elsewhere', 'store_unavailable', 'not_durable', 'shutting_down'] as const)),
    ...problems,
  ];
}

export function addRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  app: App,
  definition: RouteDefinition<Params, Query, Body>,
  handler: (c: AppContext, input: Input<Params, Query, Body>) => Promise<Response> | Response,
): void {
  const { method, path, params, query, body, store } = definition;
  app.on(method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) => {
    const input = {
      params: requireValid(params, c.req.param()),
      query: requireValid(query, readQuery(c)),
      body: requireValid(body.schema, await readBody(c, body.presence)),
    };
    return store === undefined ? handler(c, input) : c.get('useStore')(store, async () => handler(c, input));
  });
}

async function readBody(c: AppContext, presence: RouteBody<unknown>['presence']): Promise<unknown> {
  if (presence === 'none') return {};
  const body = await readJson(c);
  if (body !== undefined) return body;
  if (presence === 'optional') return {};
  throw invalidRequest([{ path: '', message: 'the body is empty; send a JSON object' }]);
}

/** Without a prototype, so that no parameter's name means anything but itself. */
function readQuery(c: AppContext): unknown {
  const query: Record<string, string> = Object.create(null);
  for (const [name, value] of new URL(c.req.url).searchParams) {
    if (Object.hasOwn(query, name)) throw invalidRequest([{ path: name, message: 'is given more than once' }]);
    query[name] = value;
  }
  return query;
}
