/** An MCP server over HTTP with one tool, `lookup`, that keeps the headers of every request and answers `found <key>`. */

import { createServer, type IncomingHttpHeaders } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

export type TestMcpServer = AsyncDisposable & { url: string; headers: IncomingHttpHeaders[] };

export async function startMcpServer(): Promise<TestMcpServer> {
  const headers: IncomingHttpHeaders[] = [];
  const http = createServer(async (incoming, outgoing) => {
    headers.push(incoming.headers);
    // Without sessions each request has a server of its own.
    const server = new McpServer({ name: 'test', version: '1.0.0' });
    server.registerTool(
      'lookup',
      { description: 'Looks a key up', inputSchema: { key: z.string() } },
      async ({ key }) => ({ content: [{ type: 'text', text: `found ${key}` }] }),
    );
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    outgoing.on('close', () => void transport.close());
    await server.connect(transport);
    await transport.handleRequest(incoming, outgoing);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const address = http.address();
  if (address === null || typeof address === 'string') throw new Error('the MCP server is not listening on a port');
  return {
    url: `http://127.0.0.1:${address.port}/mcp`,
    headers,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
