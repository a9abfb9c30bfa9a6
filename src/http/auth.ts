/**
 * Who may call: `Authorization: Bearer <token>` or `x-api-key: <token>`, one of the tokens of API_TOKEN.
 *
 * - Nothing of the body is read before this has let the request through.
 * - Tokens are compared by their digests in constant time, each with each, so that neither length nor position shows.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { Problem } from '../domain/problem.ts';
import type { AppContext, AppMiddleware } from './context.ts';

/** No tokens: everybody may call. `openPaths` need none. */
export function auth(input: { tokens: string[]; openPaths: string[] }): AppMiddleware {
  const accepted = input.tokens.map(digest);
  const open = new Set(input.openPaths);
  return async (c, next) => {
    if (accepted.length > 0 && !open.has(c.req.path)) requireToken(c, accepted);
    await next();
  };
}

/** A gateway may use `Authorization` for itself, so a good `x-api-key` beside it is enough. */
function requireToken(c: AppContext, accepted: Buffer[]): void {
  const bearer = /^bearer +(.*)$/i.exec(c.req.header('authorization')?.trim() ?? '')?.[1]?.trim();
  const apiKey = c.req.header('x-api-key')?.trim();
  const given = [bearer, apiKey].flatMap((token) => (token ? [token] : []));
  if (given.length === 0)
    throw new Problem('unauthorized', 'send a token as "Authorization: Bearer <token>" or "x-api-key: <token>"');
  let matches = 0;
  for (const token of given) {
    const candidate = digest(token);
    for (const one of accepted) matches += timingSafeEqual(candidate, one) ? 1 : 0;
  }
  if (matches === 0) throw new Problem('unauthorized', 'the token is not valid');
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
