/**
 * `fetch` for MCP servers over HTTP. Node's own gives up on an answer, and on a stream, that says nothing for five minutes:
 * a tool may take longer, and a server may have nothing to say. Here nothing is given up but by the `signal`, and when the
 * other side is gone.
 *
 * Redirects are not followed: where a secret in a header may go is for the MCP library to decide.
 */

import * as http from 'node:http';
import * as https from 'node:https';
import { Readable } from 'node:stream';
import { decideProxy } from './gateway/proxy.ts';

export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

export type McpFetch = {
  fetch: Fetch;
  /** Ends the connections, also those of answers that nobody reads. */
  disconnect(): void;
};

export type FetchInput = {
  /** Has the proxy, if any. */
  env: Record<string, string>;
  /** Of a stream, an event of it. */
  maxMessageBytes: number;
};

/** After this the other side may close a connection at any moment, and a call that is then sent over it is lost. */
const maxIdleMs = 4_000;

/** A peer that is gone without a word is found out; and what is between must not forget a connection in a long call. */
const probeMs = 30_000;

export function makeFetch({ env, maxMessageBytes }: FetchInput): McpFetch {
  const agents = new Map<string, http.Agent>();
  let lastUsedMs = 0;

  function agentFor(url: URL): http.Agent {
    const agent = agents.get(url.origin) ?? makeAgent(url, env);
    agents.set(url.origin, agent);
    // By the wall clock: timers stand still while a machine is frozen.
    if (Date.now() - lastUsedMs > maxIdleMs) closeIdle(agent);
    lastUsedMs = Date.now();
    return agent;
  }

  const fetch: Fetch = (input, init = {}) =>
    new Promise((resolve, reject) => {
      const url = new URL(input);
      const headers = new Headers(init.headers);
      // Nothing here unpacks.
      headers.set('accept-encoding', 'identity');
      if (!headers.has('user-agent')) headers.set('user-agent', 'picoclaw');
      const request = (url.protocol === 'https:' ? https : http).request(url, {
        method: init.method ?? 'GET',
        headers: Object.fromEntries(headers),
        agent: agentFor(url),
        ...(init.signal ? { signal: init.signal } : {}),
      });
      request.setSocketKeepAlive(true, probeMs);
      request.on('error', reject);
      // Such as an upgrade that nobody asked for, which Node drops without an error.
      request.once('close', () => reject(new Error('the connection was closed without an answer')));
      request.on('response', (incoming) => {
        try {
          resolve(toResponse(incoming, maxMessageBytes));
        } catch (error) {
          // Of a status that is none, such as 999. What is thrown in here ends the server.
          reject(error);
          incoming.destroy();
        }
      });
      request.end(typeof init.body === 'string' ? init.body : undefined);
    });

  const disconnect = () => {
    for (const agent of agents.values()) agent.destroy();
  };
  return { fetch, disconnect };
}

function makeAgent(url: URL, env: Record<string, string>): http.Agent {
  const proxy = decideProxy(url, env);
  const options = {
    keepAlive: true,
    timeout: maxIdleMs,
    ...(proxy.kind === 'proxy' ? { proxyEnv: { http_proxy: proxy.url, https_proxy: proxy.url } } : {}),
  };
  return url.protocol === 'https:' ? new https.Agent(options) : new http.Agent(options);
}

function closeIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy();
}

/** The statuses that `Response` takes no body with. */
const bodiless = new Set([204, 205, 304]);

function toResponse(incoming: http.IncomingMessage, maxMessageBytes: number): Response {
  const status = incoming.statusCode ?? 500;
  const headers = new Headers();
  for (const [name, values] of Object.entries(incoming.headersDistinct))
    for (const value of values ?? []) headers.append(name, value);
  if (bodiless.has(status) || incoming.headers['content-length'] === '0') {
    incoming.resume();
    return new Response(null, { status, headers });
  }
  const isStream = isEventStream(headers.get('content-type'));
  const body = Readable.toWeb(incoming).pipeThrough(bound({ isStream, maxMessageBytes }));
  return new Response(body, { status, headers });
}

/** A message that never ends must not fill the memory, be it one line or many. */
function bound(input: { isStream: boolean; maxMessageBytes: number }): TransformStream<Uint8Array, Uint8Array> {
  let bytes = 0;
  let last = Buffer.alloc(0);
  return new TransformStream({
    transform: (chunk, controller) => {
      // The end of an event may come in two pieces.
      const text = Buffer.concat([last, chunk]);
      const end = input.isStream ? endOfEvents(text) : null;
      bytes = end === null ? bytes + chunk.length : text.length - end;
      last = text.subarray(-1);
      if (bytes > input.maxMessageBytes) throw new Error('the MCP server sent a message that is too large');
      controller.enqueue(chunk);
    },
  });
}

/** An event ends with an empty line. A line ends with CR, LF or both (HTML, 9.2.6). */
const emptyLines = ['\n\n', '\n\r', '\r\r'];

/** Where the last event of the text ends; null when none does. */
function endOfEvents(text: Buffer): number | null {
  const at = Math.max(...emptyLines.map((ends) => text.lastIndexOf(ends)));
  return at === -1 ? null : at + 2;
}

export function isEventStream(contentType: string | null): boolean {
  return contentType?.toLowerCase().startsWith('text/event-stream') ?? false;
}
