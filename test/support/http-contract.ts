/** What holds for every response, whatever the test is about: its headers, and that it is as the OpenAPI document says. */

import { expect } from 'vitest';
import { catalogue } from '../../src/domain/problem.ts';
import { problemSchema } from '../../src/http/openapi-parts.ts';
import { type AnyRouteDefinition, problemsOf } from '../../src/http/route.ts';
import { routes } from '../../src/http/routes/openapi.ts';
import { checkProblem, checkRequest, checkResponse } from './api-description.ts';

export async function checkAgainstContract(
  /** `sent`: the body, where it was one of JSON. */
  { request, sent }: { request: Request; sent: string | undefined },
  response: Response,
  build: { version: string; commit: string },
): Promise<void> {
  const { headers, status } = response;
  expect(headers.get('x-request-id')).toMatch(/^[\x21-\x7e]{1,128}$/);
  expect(headers.get('x-build-version')).toBe(build.version);
  expect(headers.get('x-build-commit')).toBe(build.commit);
  expect(headers.get('x-powered-by')).toBeNull();
  expect(headers.get('server-timing')).toMatch(/^(\w+;dur=\d+\.\d, )*total;dur=\d+\.\d$/);

  const route = routeOf(request);
  const type = headers.get('content-type')?.split(';')[0] ?? null;
  const isRead = type?.endsWith('json') && request.method !== 'HEAD';
  const read: unknown = isRead ? await response.clone().json() : undefined;
  // Whatever the path, it may be asked in a way that no description has: by another method.
  if (route && status !== 405) {
    checkResponse(route, { status, headers, body: read });
    if (status < 300 && sent) checkRequest(route, JSON.parse(sent));
  } else if (isRead) checkProblem(read);
  if (route?.success[status]) return;
  expect(type, `${request.method} ${request.url} answered ${status} as ${type}`).toBe('application/problem+json');
  if (status === 503 || status === 429) expect(headers.get('retry-after')).toMatch(/^[1-9]\d*$/);
  if (status === 401) expect(headers.get('www-authenticate')).toMatch(/^Bearer/);
  if (status === 405) expect(headers.get('allow')).toMatch(/^[A-Z]+(, [A-Z]+)*$/);
  if (request.method === 'HEAD') return;
  const body = problemSchema.parse(read);
  const entry = problems.get(body.code);
  expect(body).toMatchObject({
    type: `urn:picoclaw:problem:${body.code}`,
    title: entry?.title,
    retryable: entry?.retryable,
    status: entry?.status,
    request_id: headers.get('x-request-id'),
    error: body.detail,
  });
  expect(body.status).toBe(status);
  // Of a path that is not this route's after all.
  if (route && status !== 405) expect(problemsOf(route)).toContain(body.code);
}

const problems = new Map(Object.entries<{ status: number; title: string; retryable: boolean }>(catalogue));

function routeOf(request: Request): AnyRouteDefinition | undefined {
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const path = new URL(request.url).pathname.replace(/(.)\/$/, '$1');
  return routes.find((route) => route.method.toUpperCase() === method && pattern(route.path).test(path));
}

function pattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
}
