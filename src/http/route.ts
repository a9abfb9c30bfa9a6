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
  /** True: no token is needed. */
  open?: boolean;
  success: Record<number, { description: string; content?: Record<string, ResponseContent> }>;
  /** Beside those that every such route has (400, 401, 413, 415, 500). */
  problems: ProblemCode[];
};

export type AnyRouteDefinition = RouteDefinition<z.ZodObject, z.ZodObject, z.ZodType>;

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

/** The definition as it is; the call is there for its types. */
export function defineRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  definition: RouteDefinition<Params, Query, Body>,
): RouteDefinition<Params, Query, Body> {
  return definition;
}

export function addRoute<Params extends z.ZodObject, Query extends z.ZodObject, Body extends z.ZodType>(
  app: App,
  definition: RouteDefinition<Params, Query, Body>,
  handler: (c: AppContext, input: Input<Params, Query, Body>) => Promise<Response> | Response,
): void {
  const { method, path, params, query, body } = definition;
  app.on(method.toUpperCase(), path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) =>
    handler(c, {
      params: requireValid(params, c.req.param()),
      query: requireValid(query, readQuery(c)),
      body: requireValid(body.schema, await readBody(c, body.presence)),
    }),
  );
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
