/**
 * MCP servers outside of this process, as the claude process may see them: as servers inside of it. What they take to be
 * reached (headers, an environment) stays here. Messages are passed on as they are, both ways.
 *
 * Invariants:
 * 1. Every request of the claude process is answered once: by the server, or with an error as soon as no answer can come.
 *    A server that cannot be had answers `initialize` with an error, upon which the CLI goes on without it.
 * 2. Nothing here rejects or surfaces as an unhandled rejection, whatever a server does.
 * 3. Once `close` has resolved, nothing that was started for the server is left.
 *
 * The SDK shakes hands with a server by itself, and gives up after 250 ms, upon which the CLI does it once more. A server may
 * refuse that, or begin a second session: it is asked once, and both have its answer.
 */

import type { McpSdkServerConfigWithInstance } from '@anthropic-ai/claude-agent-sdk';
import { SseError } from '@modelcontextprotocol/sdk/client/sse.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ErrorCode,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  type JSONRPCResultResponse,
  type RequestId,
} from '@modelcontextprotocol/sdk/types.js';
import type { McpServer } from '../domain/run.ts';
import { codeOf } from '../lib/error-code.ts';
import type { Log } from '../lib/log.ts';
import { makeRemote, type RemoteDeps, withoutSecrets } from './mcp-remote.ts';

export type McpBridgeDeps = RemoteDeps & { log: Log };

export type McpBridge = {
  /** For `Options.mcpServers`. For one claude process. */
  config: McpSdkServerConfigWithInstance;
  /** Why the server is lost for good: every further call is answered with an error. Null while it may be had. */
  readonly lost: string | null;
  /** Idempotent, never rejects. */
  close(): Promise<void>;
};

/** By their names. Each connects when the Agent SDK takes up its `config`. */
export function bridgeMcpServers(servers: Record<string, McpServer>, deps: McpBridgeDeps): Record<string, McpBridge> {
  return Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, new Bridge(name, server, deps)]));
}

/** Characters of what went wrong that are passed on. */
const maxReason = 500;

class Bridge implements McpBridge {
  readonly config: McpSdkServerConfigWithInstance;
  readonly #deps: McpBridgeDeps;
  readonly #server: McpServer;
  readonly #remote: Transport;
  #claude: Transport | null = null;
  /** What each further message waits for. */
  #ready: Promise<void> = Promise.resolve();
  /** The claude process's requests, until they are answered. */
  readonly #pending = new Map<RequestId, JSONRPCRequest>();
  /** Runs from the first `initialize` on. */
  #late: NodeJS.Timeout | undefined;
  /** The answer to it. */
  #welcome: JSONRPCResultResponse | null = null;
  #isReady = false;
  #fault: unknown = new Error('the MCP server has closed the connection');
  #lost: string | null = null;
  #closing: Promise<void> | null = null;

  constructor(name: string, server: McpServer, deps: McpBridgeDeps) {
    this.#server = server;
    this.#deps = { ...deps, log: deps.log.child({ mcp_server: name }) };
    this.#remote = makeRemote(server, deps);
    // Of an instance, the Agent SDK calls nothing but `connect`.
    const instance: unknown = { connect: (claude: Transport) => this.#connect(claude) };
    this.config = { type: 'sdk', name, instance: instance as McpSdkServerConfigWithInstance['instance'] };
  }

  get lost(): string | null {
    return this.#lost;
  }

  close(): Promise<void> {
    this.#closing ??= this.#leave('the MCP server is no longer needed');
    return this.#closing;
  }

  async #connect(claude: Transport): Promise<void> {
    if (this.#claude !== null || this.#lost !== null) throw new Error('an MCP bridge is for one claude process');
    this.#claude = claude;
    claude.onmessage = (message) => this.#fromClaude(message);
    claude.onclose = () => void this.close();
    this.#remote.onmessage = (message) => this.#fromServer(message);
    this.#remote.onclose = () => this.#lose(this.#fault);
    this.#remote.onerror = (error) => {
      this.#fault = error;
      // It would be opened again, but for a session that has had no `initialize`.
      if (error instanceof SseError) this.#lose(error);
    };
    this.#ready = this.#remote.start().catch((error: unknown) => this.#lose(error));
    await claude.start();
  }

  #fromClaude(message: JSONRPCMessage): void {
    if (isRequest(message)) {
      this.#pending.set(message.id, message);
      if (this.#lost !== null) this.#refuse(message.id, this.#lost);
      else if (message.method !== 'initialize' || this.#begins(message)) void this.#pass(message);
    } else if (!('method' in message) || message.method !== 'notifications/initialized') {
      void this.#pass(message);
    } else if (!this.#isReady) {
      this.#isReady = true;
      // A server may refuse what comes before the client has told that it is ready.
      this.#ready = this.#pass(message);
    }
  }

  /** Whether it is the first `initialize`; any other has the same answer. */
  #begins({ id }: JSONRPCRequest): boolean {
    if (this.#welcome !== null) this.#answerClaude({ ...this.#welcome, id });
    if (this.#late !== undefined) return false;
    this.#late = setTimeout(() => this.#lose(tooLate), this.#deps.connectMs);
    return true;
  }

  async #pass(message: JSONRPCMessage): Promise<void> {
    await this.#ready;
    if (this.#lost !== null) return;
    try {
      await this.#remote.send(message);
    } catch (error) {
      this.#deps.log.debug({ reason: this.#tell(error) }, 'a message did not reach an MCP server');
      if (!isRequest(message)) return;
      if (message.method === 'initialize') this.#lose(error);
      else this.#refuse(message.id, this.#tell(error));
    }
  }

  #fromServer(message: JSONRPCMessage): void {
    if ('method' in message) this.#toClaude(message);
    else this.#answerClaude(message);
  }

  #answerClaude(message: JSONRPCResponse): void {
    if (message.id === undefined) return;
    const request = this.#pending.get(message.id);
    // The answer to nothing, or the second one to a request.
    if (request === undefined) return;
    this.#pending.delete(message.id);
    if (request.method === 'initialize' && 'result' in message) this.#begun(message);
    this.#toClaude(message);
    if (request.method === 'initialize' && 'error' in message) this.#lose(new Error(message.error.message));
  }

  #begun(message: JSONRPCResultResponse): void {
    if (this.#welcome !== null) return;
    clearTimeout(this.#late);
    this.#welcome = message;
    const { protocolVersion } = message.result;
    if (typeof protocolVersion === 'string') this.#remote.setProtocolVersion?.(protocolVersion);
    for (const { id, method } of this.#pending.values())
      if (method === 'initialize') this.#answerClaude({ ...message, id });
  }

  /** Answers a request of the claude process for the server. */
  #refuse(id: RequestId, reason: string): void {
    if (!this.#pending.delete(id)) return;
    this.#toClaude({ jsonrpc: '2.0', id, error: { code: ErrorCode.ConnectionClosed, message: reason } });
  }

  #toClaude(message: JSONRPCMessage): void {
    // A process that is gone needs no answer.
    this.#claude?.send(message).catch(() => undefined);
  }

  #lose(error: unknown): void {
    if (this.#lost !== null) return;
    const cause = error instanceof Error && error.cause !== undefined ? this.#tell(error.cause) : undefined;
    this.#deps.log.warn({ reason: this.#tell(error), cause }, 'an MCP server is not available');
    this.#closing ??= this.#leave(this.#tell(error));
  }

  async #leave(reason: string): Promise<void> {
    this.#lost ??= reason;
    clearTimeout(this.#late);
    for (const id of [...this.#pending.keys()]) this.#refuse(id, reason);
    try {
      await this.#remote.close();
    } catch {
      // What matters of it is gone.
    }
  }

  /** In words that may go to the claude process and into the log. */
  #tell(error: unknown): string {
    const text = error instanceof Error ? error.message || codeOf(error) || error.name : String(error);
    return withoutSecrets(this.#server, text).slice(0, maxReason);
  }
}

const tooLate = new Error('the MCP server did not answer in time');

type JSONRPCResponse = Exclude<JSONRPCMessage, JSONRPCRequest | JSONRPCNotification>;

function isRequest(message: JSONRPCMessage): message is JSONRPCRequest {
  return 'method' in message && 'id' in message;
}
