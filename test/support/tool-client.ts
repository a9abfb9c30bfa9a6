/**
 * The tools as a client has them, through the official client library, over the app of `http-app.ts`: over its operations
 * as the agent has them, or over its HTTP API as `picoclaw mcp` has them.
 *
 *     const { app, call, pass, stored } = await openTools('over HTTP', { inConversation: true });
 *     const { text, isError } = await call('list_tasks');
 */

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { systemClock } from '../../src/lib/clock.ts';
import { callTool } from '../../src/tools/call-tool.ts';
import { makeToolServer } from '../../src/tools/in-process.ts';
import { makeMcpServer } from '../../src/tools/mcp-server.ts';
import { makeBackendOverHttp, type OverHttpDeps } from '../../src/tools/over-http.ts';
import { type AppInput, startApp, type TestApp } from './http-app.ts';

export const toolWays = ['in process', 'over HTTP'] as const;
export type ToolWay = (typeof toolWays)[number];

/** When the app of `openTools` begins: a Friday, noon in UTC. */
export const start = '2026-02-27T12:00:00.000Z';
export const hourMs = 3_600_000;

/** Arguments of `schedule_task`, and a body of POST /task. */
export const hourly = { id: 'hourly', prompt: 'Look.', schedule_type: 'interval', schedule_value: String(hourMs) };

export type ToolAnswer = { text: string; isError: boolean };

export type ToolClient = {
  client: Client;
  call(tool: string, args?: Record<string, unknown>): Promise<ToolAnswer>;
  /** What was reported to the operator, over HTTP. In process it is in the app's log. */
  reported: { tool: string; error: unknown }[];
};

/** For one test: an app in Berlin whose time the test passes, and its tools. */
export async function openTools(way: ToolWay, input: { inConversation?: boolean; store?: AppInput['store'] } = {}) {
  let now = start;
  const app = await startApp({
    clock: { now: () => now },
    timezone: 'Europe/Berlin',
    ...(input.store ? { store: input.store } : {}),
  });
  onTestFinished(() => app[Symbol.asyncDispose]());
  const conversationId = input.inConversation ? await newConversation(app) : null;
  return {
    app,
    conversationId,
    pass: (ms: number) => {
      now = new Date(Date.parse(now) + ms).toISOString();
    },
    /** The task as the HTTP API has it. */
    stored: async (id: string) => (await app.send(`/task/${id}`)).body,
    ...(await connectTools(app, { way, conversationId })),
  };
}

export async function newConversation(app: TestApp): Promise<string> {
  const { body } = await app.post('/chat', { message: 'hello' });
  return String(body.conversation_id);
}

export async function connectTools(
  app: TestApp,
  input: { way: ToolWay; conversationId?: string | null; runId?: string },
): Promise<ToolClient> {
  const { way, conversationId = null, runId = 'run-of-a-test' } = input;
  if (way === 'over HTTP') return connectOverHttp({ conversationId, fetch: fetchOf(app) }, app.operations.clock);
  const server = makeToolServer({ ...app.operations, version: '2.0.0-test' }, () => ({ runId, conversationId }));
  return { ...(await connectTo(server)), reported: [] };
}

export async function connectOverHttp(deps: Partial<OverHttpDeps>, clock = systemClock): Promise<ToolClient> {
  const reported: ToolClient['reported'] = [];
  const backend = makeBackendOverHttp({ fetch, url: 'http://localhost', token: null, conversationId: null, ...deps });
  const report = (error: unknown, tool: string) => void reported.push({ tool, error });
  const server = makeMcpServer({
    version: '2.0.0-test',
    call: (tool, args) => callTool({ backend, clock, report }, tool, args),
  });
  return { ...(await connectTo(server)), reported };
}

async function connectTo(server: McpServer): Promise<Omit<ToolClient, 'reported'>> {
  const [near, far] = InMemoryTransport.createLinkedPair();
  await server.connect(far);
  const client = new Client({ name: 'test', version: '1.0.0' });
  await client.connect(near);
  return { client, call: (tool, args) => callWith(client, tool, args) };
}

const toolResult = z.looseObject({
  content: z.tuple([z.strictObject({ type: z.literal('text'), text: z.string() })]),
  isError: z.boolean().default(false),
});

export async function callWith(client: Client, tool: string, args: Record<string, unknown> = {}): Promise<ToolAnswer> {
  const { content, isError } = toolResult.parse(await client.callTool({ name: tool, arguments: args }));
  return { text: content[0].text, isError };
}

function fetchOf(app: TestApp): typeof fetch {
  return async (input, init) => {
    const { pathname, search } = new URL(String(input));
    return app.fetch(`${pathname}${search}`, init);
  };
}
