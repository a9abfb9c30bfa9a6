/**
 * An MCP client in place of the claude process, over a bridge.
 *
 *     await using bridged = await connectBridged(server);
 *     await bridged.client.callTool({ name: 'show', arguments: { key: 'a' } });
 */

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  ElicitRequestSchema,
  type JSONRPCMessage,
  ListRootsRequestSchema,
  type RequestId,
} from '@modelcontextprotocol/sdk/types.js';
import { pino } from 'pino';
import { bridgeMcpServers, type McpBridge, type McpBridgeDeps } from '../../src/agent/mcp-bridge.ts';
import type { McpServer } from '../../src/domain/run.ts';

export type Bridged = AsyncDisposable & {
  bridge: McpBridge;
  /** Lines of the bridge's log. */
  log: string[];
  /** The claude process's end of the bridge. */
  transport: Transport;
};

export async function bridge(server: McpServer, deps: Partial<McpBridgeDeps> = {}): Promise<Bridged> {
  const log: string[] = [];
  const bridges = bridgeMcpServers(
    { library: server },
    {
      connectMs: 30_000,
      env: { PATH: process.env.PATH ?? '' },
      marks: {},
      cwd: '/',
      tieToParent: false,
      log: pino({ level: 'debug' }, { write: (line: string) => void log.push(line) }),
      ...deps,
    },
  );
  const made = bridges.library;
  if (made === undefined) throw new Error('no bridge was made');
  const [transport, ours] = InMemoryTransport.createLinkedPair();
  await made.config.instance.connect(ours);
  return { bridge: made, log, transport, [Symbol.asyncDispose]: () => made.close() };
}

export async function connectBridged(
  server: McpServer,
  deps: Partial<McpBridgeDeps> = {},
): Promise<Bridged & { client: Client }> {
  const bridged = await bridge(server, deps);
  const client = makeClient();
  await client.connect(bridged.transport);
  return { ...bridged, client };
}

/** It answers what a server may ask: for its roots, and a question to the user. */
export function makeClient(): Client {
  const client = new Client(
    { name: 'test', version: '1.0.0' },
    { capabilities: { roots: { listChanged: true }, elicitation: {} } },
  );
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///memory' }] }));
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { which: 'this one' } }));
  return client;
}

export type RawClient = {
  send(message: Omit<JSONRPCMessage, 'jsonrpc'>): Promise<void>;
  received: JSONRPCMessage[];
  /** The answer to a request of this id, once it has come. */
  answer(id: RequestId): Promise<unknown>;
};

/** A client that sends just what it is told to. */
export function rawClient(transport: Transport): RawClient {
  const answers = new Map<RequestId, PromiseWithResolvers<unknown>>();
  const answerOf = (id: RequestId) => {
    const known = answers.get(id) ?? Promise.withResolvers<unknown>();
    answers.set(id, known);
    return known;
  };
  const received: JSONRPCMessage[] = [];
  transport.onmessage = (message) => {
    received.push(message);
    if ('id' in message && message.id !== undefined && !('method' in message)) answerOf(message.id).resolve(message);
  };
  return {
    send: (message) => transport.send({ jsonrpc: '2.0', ...message } as JSONRPCMessage),
    received,
    answer: (id) => answerOf(id).promise,
  };
}

export const initialize = {
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1.0.0' } },
};
