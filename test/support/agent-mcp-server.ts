/**
 * MCP servers with one tool, `lookup`, that answers `found <key>`, over each transport that a caller may name.
 *
 *     await using mcp = await startMcpServer('sse');
 *     await host.run('…', { options: { mcpServers: { library: mcp.server({ 'x-tenant': 'a' }) } } });
 */

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';
import type { McpServer as McpServerOption } from '../../src/domain/run.ts';

export type McpTransport = McpServerOption['type'];

export type TestMcpServer = AsyncDisposable & {
  /** For a run's options, with these headers (over stdio: with this environment). */
  server(secrets?: Record<string, string>): McpServerOption;
  /** The headers of every request. Empty over stdio. */
  headers: IncomingHttpHeaders[];
};

export async function startMcpServer(type: McpTransport = 'http'): Promise<TestMcpServer> {
  const headers: IncomingHttpHeaders[] = [];
  if (type === 'stdio') {
    const script = fileURLToPath(new URL('agent-mcp-stdio.ts', import.meta.url));
    return {
      server: (env) => ({ type, command: process.execPath, args: [script], ...(env ? { env } : {}) }),
      headers,
      [Symbol.asyncDispose]: async () => {},
    };
  }
  const serve = type === 'http' ? serveHttp : serveSse();
  const http = createServer(async (incoming, outgoing) => {
    headers.push(incoming.headers);
    await serve(incoming, outgoing);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the MCP server is not listening on a port');
  const url = `http://127.0.0.1:${address.port}/mcp`;
  return {
    server: (sent) => ({ type, url, ...(sent ? { headers: sent } : {}) }),
    headers,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

/** A server without a transport. Over stdio it also tells what it has in its environment. */
export function makeMcpServer(): McpServer {
  const server = new McpServer({ name: 'test', version: '1.0.0' });
  server.registerTool(
    'lookup',
    { description: 'Looks a key up', inputSchema: { key: z.string() } },
    async ({ key }) => ({
      content: [{ type: 'text', text: `found ${key}, tenant ${process.env['x-tenant'] ?? 'unknown'}` }],
    }),
  );
  return server;
}

/** Without sessions each request has a server of its own. */
async function serveHttp(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  outgoing.on('close', () => void transport.close());
  await makeMcpServer().connect(transport);
  await transport.handleRequest(incoming, outgoing);
}

/** A GET opens a stream, and tells by which address messages are posted to it. */
function serveSse(): (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void> {
  const transports = new Map<string, SSEServerTransport>();
  return async (incoming, outgoing) => {
    if (incoming.method === 'GET') {
      const transport = new SSEServerTransport('/messages', outgoing);
      transports.set(transport.sessionId, transport);
      await makeMcpServer().connect(transport);
      return;
    }
    const id = new URL(incoming.url ?? '/', 'http://localhost').searchParams.get('sessionId') ?? '';
    const transport = transports.get(id);
    if (transport) await transport.handlePostMessage(incoming, outgoing);
    // Not 404, upon which a client of the other transport would try this one.
    else outgoing.writeHead(500).end();
  };
}
