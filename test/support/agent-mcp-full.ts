/**
 * An MCP server with everything that the protocol has, for what must pass through unchanged. As a program it speaks over stdin
 * and stdout.
 *
 *     await using http = await serveFull('http');      // or 'sse', 'stdio'
 *     http.server                                      // for a run's options
 */

import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { fileURLToPath } from 'node:url';
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { ElicitResultSchema, ErrorCode, McpError, SubscribeRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import type { McpServer as McpServerOption } from '../../src/domain/run.ts';

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';

function makeFullServer(): McpServer {
  const server = new McpServer(
    { name: 'full', title: 'Everything', version: '1.2.3', websiteUrl: 'https://example.com/full' },
    {
      instructions: 'Look before you leap. U+2028 is \u2028, and an emoji is 🐾.',
      capabilities: { logging: {}, completions: {}, resources: { subscribe: true } },
    },
  );

  server.registerTool(
    'show',
    {
      title: 'Show',
      description: 'Shows all kinds of content',
      inputSchema: { key: z.string() },
      outputSchema: { key: z.string(), nested: z.object({ list: z.array(z.number()) }) },
      annotations: { readOnlyHint: true, openWorldHint: false },
      _meta: { 'example.com/kind': 'tool' },
    },
    async ({ key }, { _meta }) => ({
      content: [
        { type: 'text', text: `shown ${key}`, annotations: { audience: ['user'], priority: 0.5 } },
        { type: 'image', data: pixel, mimeType: 'image/png' },
        { type: 'audio', data: pixel, mimeType: 'audio/wav' },
        { type: 'resource_link', uri: 'notes://one', name: 'one', mimeType: 'text/plain' },
        { type: 'resource', resource: { uri: 'notes://two', text: 'embedded', mimeType: 'text/plain' } },
      ],
      structuredContent: { key, nested: { list: [1, 2.5, -3] } },
      _meta: { 'example.com/asked': _meta ?? null },
    }),
  );
  server.registerTool('large', { inputSchema: { bytes: z.number() } }, async ({ bytes }) => ({
    content: [{ type: 'text', text: 'ü'.repeat(bytes / 2) }],
  }));
  server.registerTool('fail', { inputSchema: {} }, async () => ({
    content: [{ type: 'text', text: 'it failed' }],
    isError: true,
  }));
  server.registerTool('progress', { inputSchema: {} }, async (_, { sendNotification, _meta }) => {
    const progressToken = _meta?.progressToken ?? 'none';
    for (const progress of [1, 2, 3])
      await sendNotification({
        method: 'notifications/progress',
        params: { progressToken, progress, total: 3, message: `step ${progress}` },
      });
    return { content: [{ type: 'text', text: 'done' }] };
  });
  server.registerTool('hang', { inputSchema: {} }, async (_, { signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    await server.server.sendLoggingMessage({ level: 'info', data: 'the call was cancelled' }).catch(() => undefined);
    return { content: [] };
  });
  server.registerTool('grow', { inputSchema: {} }, async () => {
    server.registerTool('grown', { inputSchema: {} }, async () => ({ content: [] }));
    return { content: [] };
  });
  server.registerTool('ask', { inputSchema: {} }, async (_, { sendRequest }) => {
    const question = {
      message: 'Which?',
      requestedSchema: { type: 'object' as const, properties: { which: { type: 'string' as const } } },
    };
    // Their ids are the numbers from 0 on, as those of the client's own requests.
    for (let count = 0; count < 20; count += 1) await sendRequest({ method: 'ping' }, z.looseObject({}));
    const asked = await Promise.allSettled([
      sendRequest({ method: 'ping' }, z.looseObject({})),
      sendRequest({ method: 'roots/list' }, z.looseObject({})),
      sendRequest({ method: 'elicitation/create', params: question }, ElicitResultSchema),
    ]);
    const answers = asked.map((each) => (each.status === 'fulfilled' ? each.value : { error: each.reason.code }));
    return { content: [{ type: 'text', text: JSON.stringify(answers) }] };
  });
  server.registerTool('process', { inputSchema: {} }, async () => ({
    content: [{ type: 'text', text: JSON.stringify({ env: process.env, cwd: process.cwd(), pid: process.pid }) }],
  }));
  server.registerTool('die', { inputSchema: {} }, async () => {
    console.error('last words with its-own-secret');
    process.exit(3);
  });

  server.registerResource('one', 'notes://one', { title: 'One', mimeType: 'text/plain' }, async ({ href }) => ({
    contents: [{ uri: href, text: 'the first note', _meta: { version: 3 } }],
  }));
  server.registerResource('any', new ResourceTemplate('notes://{name}', { list: undefined }), {}, async ({ href }) => {
    throw new McpError(ErrorCode.InvalidParams, 'no such note', { uri: href });
  });
  server.server.setRequestHandler(SubscribeRequestSchema, async ({ params }) => {
    void server.server.sendResourceUpdated({ uri: params.uri });
    return {};
  });
  server.registerPrompt('greet', { title: 'Greet', argsSchema: { name: z.string() } }, ({ name }) => ({
    messages: [{ role: 'user', content: { type: 'text', text: `Greet ${name}` } }],
  }));
  return server;
}

export type FullServer = AsyncDisposable & {
  server: McpServerOption;
  /** Of every request. Empty over stdio. */
  requests: { method: string; headers: IncomingHttpHeaders }[];
  /** Cuts every connection and listens no more. */
  stop(): Promise<void>;
};

/** With these secrets: headers, over stdio an environment. Over HTTP with a session. */
export async function serveFull(type: McpServerOption['type'], secrets?: Record<string, string>): Promise<FullServer> {
  const requests: FullServer['requests'] = [];
  if (type === 'stdio') {
    const server: McpServerOption = { type, command: process.execPath, args: [fileURLToPath(import.meta.url)] };
    const stop = async () => {};
    return { server: { ...server, env: secrets }, requests, stop, [Symbol.asyncDispose]: stop };
  }
  const transports = new Map<string, SSEServerTransport | StreamableHTTPServerTransport>();
  const http = createServer(async (incoming, outgoing) => {
    requests.push({ method: incoming.method ?? '', headers: incoming.headers });
    const { searchParams } = new URL(incoming.url ?? '/', 'http://localhost');
    const id = searchParams.get('sessionId') ?? incoming.headers['mcp-session-id'];
    const known = transports.get(String(id));
    if (known instanceof SSEServerTransport) await known.handlePostMessage(incoming, outgoing);
    else if (known !== undefined) await known.handleRequest(incoming, outgoing);
    else if (id !== undefined) outgoing.writeHead(404).end();
    else if (type === 'sse') {
      const transport = new SSEServerTransport('/messages', outgoing);
      transports.set(transport.sessionId, transport);
      await makeFullServer().connect(transport);
    } else {
      const transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: () => crypto.randomUUID(),
        onsessioninitialized: (session) => void transports.set(session, transport),
      });
      await makeFullServer().connect(transport);
      await transport.handleRequest(incoming, outgoing);
    }
  });
  const url = `http://127.0.0.1:${await listen(http)}/mcp`;
  const stop = async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  };
  return { server: { type, url, headers: secrets }, requests, stop, [Symbol.asyncDispose]: stop };
}

/** The port. */
export async function listen(http: Server): Promise<number> {
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}

if (import.meta.main) await makeFullServer().connect(new StdioServerTransport());
