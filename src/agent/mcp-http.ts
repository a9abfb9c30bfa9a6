/**
 * An MCP server behind streamable HTTP, as a transport: the MCP library's, with what a go-between needs besides.
 *
 * - A request whose answer can no longer come is answered with an error: the library only tells that some stream has ended.
 * - A server that has forgotten the session (404) is given a new one, with the `initialize` of the old, and the message once
 *   more, as the protocol wants it of a client.
 * - A session is ended with the transport.
 */

import { StreamableHTTPClientTransport, StreamableHTTPError } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ErrorCode,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
} from '@modelcontextprotocol/sdk/types.js';
import { within } from '../lib/within.ts';
import { type Fetch, isEventStream } from './mcp-fetch.ts';

export type McpHttpInput = {
  url: string;
  headers: Record<string, string>;
  fetch: Fetch;
  /** For a new session in place of one that was forgotten. */
  connectMs: number;
};

/** For ending a session. */
const farewellMs = 500;

export class McpHttp implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onerror?: (error: Error) => void;
  onclose?: () => void;
  readonly #input: McpHttpInput;
  #link: StreamableHTTPClientTransport;
  #initialize: JSONRPCRequest | null = null;
  #renewing: Promise<void> | null = null;
  #isClosed = false;
  /** Of requests whose answer comes over a stream that can be taken up again: the last event of it. */
  readonly #resumable = new Map<RequestId, string>();
  /** Requests whose answer comes later, over a stream, until that is known of them where they were sent. */
  readonly #streamed = new Set<RequestId>();
  /** Whether the server has a stream for what it says by itself. */
  #tells = false;

  constructor(input: McpHttpInput) {
    this.#input = input;
    this.#link = this.#makeLink();
    this.#listenTo(this.#link);
  }

  async start(): Promise<void> {
    await this.#link.start();
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if ('method' in message && 'id' in message && message.method === 'initialize') this.#initialize = message;
    try {
      await this.#deliver(message);
    } catch (error) {
      throw withStatus(error);
    }
  }

  setProtocolVersion(version: string): void {
    this.#link.setProtocolVersion(version);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const farewell = this.#link.terminateSession().catch(() => undefined);
    await within(farewellMs, farewell);
    await this.#link.close();
  }

  async #deliver(message: JSONRPCMessage): Promise<void> {
    const link = this.#link;
    try {
      await this.#post(link, message);
    } catch (error) {
      if (!isForgotten(link, error)) throw error;
      if (this.#link === link) this.#renewing ??= this.#renew(link);
      await this.#renewing;
      await this.#post(this.#link, message);
    }
  }

  async #post(link: StreamableHTTPClientTransport, message: JSONRPCMessage): Promise<void> {
    const id = 'id' in message && 'method' in message ? message.id : null;
    const onresumptiontoken = (token: string) => {
      if (id === null) return;
      if (isHeaderValue(token)) this.#resumable.set(id, token);
      else this.#resumable.delete(id);
    };
    await link.send(message, { onresumptiontoken });
    // What there was has been taken in: if the answer was not in it, none can come.
    if (id !== null && !this.#streamed.delete(id)) this.#lose(id);
  }

  async #renew(old: StreamableHTTPClientTransport): Promise<void> {
    const link = this.#makeLink();
    try {
      await link.start();
      await within(this.#input.connectMs, this.#introduce(link));
      if (link.protocolVersion === undefined || this.#isClosed)
        throw new Error('the MCP server did not begin a new session');
      this.#link = link;
      this.#listenTo(link);
      await old.close();
    } catch (error) {
      await link.close();
      throw error;
    } finally {
      this.#renewing = null;
    }
  }

  /** It has a protocol version when it has succeeded. */
  async #introduce(link: StreamableHTTPClientTransport): Promise<void> {
    if (this.#initialize === null) return;
    const answer = Promise.withResolvers<JSONRPCMessage>();
    link.onmessage = (message) => {
      if ('id' in message && message.id === this.#initialize?.id) answer.resolve(message);
    };
    await link.send(this.#initialize);
    const answered = await answer.promise;
    const version = 'result' in answered ? answered.result.protocolVersion : undefined;
    if (typeof version !== 'string') return;
    link.setProtocolVersion(version);
    await link.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  }

  #makeLink(): StreamableHTTPClientTransport {
    const { url, headers } = this.#input;
    return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers }, fetch: this.#fetch });
  }

  #listenTo(link: StreamableHTTPClientTransport): void {
    link.onmessage = (message) => {
      if ('id' in message && message.id !== undefined && !('method' in message)) this.#resumable.delete(message.id);
      this.onmessage?.(message);
    };
    link.onerror = (error) => this.onerror?.(error);
    link.onclose = () => {
      if (link === this.#link) this.onclose?.();
    };
  }

  readonly #fetch: Fetch = async (url, init = {}) => {
    const token = new Headers(init.headers).get('last-event-id');
    const taken = [...this.#resumable].find((entry) => entry[1] === token);
    if (taken !== undefined) return await this.#takeUp(taken, url, init);
    const response = await this.#input.fetch(url, init);
    const isStream = response.ok && response.body !== null && isEventStream(response.headers.get('content-type'));
    if (init.method === 'GET' && isStream) this.#tells = true;
    const id = typeof init.body === 'string' ? requestIdOf(init.body) : undefined;
    if (id === undefined) return response;
    // Against the protocol, but some answer over that other stream.
    if (isStream || (response.status === 202 && this.#tells)) this.#streamed.add(id);
    return isStream ? watched(response, () => this.#resumable.has(id) || this.#lose(id)) : response;
  };

  /** The library tries again; who asked has waited long enough. */
  async #takeUp([id, token]: [RequestId, string], url: string | URL, init: RequestInit): Promise<Response> {
    try {
      const response = await this.#input.fetch(url, init);
      if (!response.ok) this.#lose(id);
      // Without another event in it the library does not know any more what to take up.
      return watched(response, () => this.#resumable.get(id) !== token || this.#lose(id));
    } catch (error) {
      this.#lose(id);
      throw error;
    }
  }

  #lose(id: RequestId): void {
    this.#resumable.delete(id);
    const message = 'the connection to the MCP server ended before the answer';
    this.onmessage?.({ jsonrpc: '2.0', id, error: { code: ErrorCode.ConnectionClosed, message } });
  }
}

/** `onEnd`: however it ends. What was in it is first taken in by its reader. */
function watched(response: Response, onEnd: () => void): Response {
  const end = () => void setImmediate(onEnd);
  const body = response.body?.pipeThrough(new TransformStream({ flush: end, cancel: end })) ?? null;
  return new Response(body, { status: response.status, headers: response.headers });
}

/** What a header does not carry as it is cannot be asked for. */
function isHeaderValue(text: string): boolean {
  try {
    return new Headers({ 'last-event-id': text }).get('last-event-id') === text;
  } catch {
    return false;
  }
}

function isForgotten(link: StreamableHTTPClientTransport, error: unknown): boolean {
  return error instanceof StreamableHTTPError && error.code === 404 && link.sessionId !== undefined;
}

function withStatus(error: unknown): unknown {
  if (!(error instanceof StreamableHTTPError) || error.code === undefined || error.code < 0) return error;
  return new Error(`${error.message} (status ${error.code})`);
}

function requestIdOf(body: string): RequestId | undefined {
  const { id, method } = JSON.parse(body);
  return method === undefined ? undefined : id;
}
