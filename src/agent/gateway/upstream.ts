/**
 * The model API as the gateway's client sees it: one address, a pool of connections to it, a proxy between if there is one.
 *
 * A pooled connection may be dead without our knowing: closed by the other side a moment ago, or forgotten by the network
 * while this machine was frozen. One that was idle for long is not used again; a request that breaks on a used one before
 * anything of its answer has come is sent once more, on a fresh one. (RFC 9110 §9.2.2 leaves that to who knows that it does
 * no harm: at worst an answer is paid for twice, and the CLI would send it again itself.)
 */

import * as http from 'node:http';
import * as https from 'node:https';
import { codeOf } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { decideProxy } from './proxy.ts';

export type Upstream = {
  /** For the log. */
  origin: string;
  /** Rejects when there is no answer: unreachable, broken, aborted. */
  ask(input: Asked): Promise<http.IncomingMessage>;
  /** Closes what is open. */
  stop(): void;
};

export type Asked = {
  method: string;
  /** Path and query; the path of the base URL comes before it. */
  target: string;
  headers: http.OutgoingHttpHeaders;
  body: Buffer;
  signal: AbortSignal;
};

export type UpstreamDeps = {
  baseUrl: string;
  proxyEnv: Record<string, string | undefined>;
  log: Log;
  nowMs?: () => number;
};

/** Less than load balancers and address translation keep a connection of which they hear nothing (ALB: 60 s). */
const maxIdleMs = 50_000;

/** Throws when the URL is not one that requests can be sent to. */
export function createUpstream({ baseUrl, proxyEnv, log, nowMs = Date.now }: UpstreamDeps): Upstream {
  const base = parseBase(baseUrl);
  const client = base.protocol === 'https:' ? https : http;
  const proxy = decideProxy(base, proxyEnv);
  if (proxy.kind === 'unusable')
    log.warn({ variable: proxy.variable }, 'only http(s) proxies are known: it is not used');
  const options = proxy.kind === 'proxy' ? { proxyEnv: { http_proxy: proxy.url, https_proxy: proxy.url } } : {};
  // `timeout` is that of an idle connection; one in use is not closed by it. The other side's shorter one is heeded.
  const pooled = new client.Agent({ ...options, keepAlive: true, timeout: maxIdleMs });
  const fresh = new client.Agent(options);
  let lastUsedMs = nowMs();

  function send(agent: http.Agent, { method, target, headers, body, signal }: Asked) {
    const { hostname, port } = base;
    const path = `${base.pathname.replace(/\/$/, '')}${target}`;
    // An IPv6 address has brackets in a URL and none in a connection.
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    // Said in any case: node sends the body of a GET without a word of it, and to the other side it is the next request.
    const framed = body.length === 0 ? headers : { ...headers, 'content-length': body.length };
    const request = client.request({ agent, method, host, port, path, headers: framed, signal });
    const answer = new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
      // Such as an upgrade that nobody asked for, which node drops without an error.
      request.once('close', () => reject(new Error('the connection was closed without an answer')));
    });
    request.end(body);
    return { request, answer };
  }

  return {
    origin: base.origin,
    ask: async (asked) => {
      // By the wall clock: timers may stand still while a machine is frozen.
      if (nowMs() - lastUsedMs > maxIdleMs) closeIdle(pooled);
      const first = send(pooled, asked);
      const answer = await first.answer.catch((error: unknown) => {
        if (asked.signal.aborted || !first.request.reusedSocket || !isBroken(error)) throw error;
        return send(fresh, asked).answer;
      });
      lastUsedMs = nowMs();
      answer.once('close', () => {
        lastUsedMs = nowMs();
      });
      return answer;
    },
    stop: () => {
      pooled.destroy();
      fresh.destroy();
    },
  };
}

function closeIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

function isBroken(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ECONNRESET' || code === 'EPIPE';
}

/** The errors do not repeat the URL, which may hold a password. */
function parseBase(baseUrl: string): URL {
  const base = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (base === null || (base.protocol !== 'https:' && base.protocol !== 'http:')) {
    throw new Error('the address of the model API is not an http(s) URL');
  }
  if (base.username !== '' || base.password !== '' || base.search !== '' || base.hash !== '') {
    throw new Error('the address of the model API may have a host, a port and a path, and nothing else');
  }
  return base;
}
