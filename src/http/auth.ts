/**
 * Who may call: `Authorization: Bearer <token>` or `x-api-key: <token>`, one of the tokens of API_TOKEN.
 *
 * - Nothing of the body is read before this has let the request through.
 * - Without tokens everybody on this machine may call, and a browser on it too, on behalf of any page in the web: a request without a
 *   content type needs no leave of the server's (CORS), and a name of the page's own may lead to loopback (DNS rebinding). Pages are
 *   kept out.
 * - Tokens are compared by their digests in constant time, each with each, so that neither length nor position shows.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import { Problem } from '../domain/problem.ts';
import { describe } from '../lib/check.ts';
import { isLoopback } from '../lib/loopback.ts';
import type { AppContext, AppMiddleware } from './context.ts';

export type AuthSettings = {
  /** None: everybody may call. */
  apiTokens: string[];
  /** Everybody may, pages in the web too: somebody else stands before the server. */
  allowAnonymous: boolean;
};

/** `openPaths` need no token. */
export function auth({ apiTokens, allowAnonymous }: AuthSettings, openPaths: string[]): AppMiddleware {
  const accepted = apiTokens.map(digest);
  const open = new Set(openPaths);
  return async (c, next) => {
    if (!open.has(c.req.path)) {
      if (accepted.length > 0) requireToken(c, accepted);
      else if (!allowAnonymous) refusePages(c);
    }
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

/** Every browser names the page in `Origin` of whatever could change something, and cannot be made to name another. */
function refusePages(c: AppContext): void {
  const origin = c.req.header('origin');
  if (origin !== undefined && !(URL.canParse(origin) && isLocal(new URL(origin).hostname)))
    throw noPage(`Origin: a web page, ${describe(origin)},`);
  const { hostname } = new URL(c.req.url);
  if (!isLocal(hostname)) throw noPage(`Host: whoever takes this machine for ${describe(hostname)}`);
}

function noPage(who: string): Problem {
  const fix = 'set API_TOKEN, or ALLOW_ANONYMOUS=true where only an authenticating gateway can reach it';
  return new Problem('unauthorized', `${who} may not call a server without API_TOKEN; ${fix}`);
}

/** As `URL` writes it. A browser takes whatever ends in `.localhost` to this machine. */
function isLocal(hostname: string): boolean {
  return isLoopback(hostname.replace(/^\[(.*)\]$/, '$1')) || hostname.endsWith('.localhost');
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
