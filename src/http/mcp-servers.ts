/** `mcp_servers` of a request: the MCP servers that the agent may use in one run, by name, with their documentation. */

import { z } from '@hono/zod-openapi';
import { httpServer, serverName, stdioServer } from '../domain/mcp-server.ts';

const { url, headers } = httpServer.shape;

// Zod's own `meta`: these were made before there was an `openapi`.
const describedHttpServer = httpServer
  .extend({
    url: url.meta({ format: 'uri', example: 'https://mcp.example.com/mcp' }),
    headers: headers.meta({ description: 'Sent with every request to it.' }),
  })
  .meta({ id: 'HttpMcpServer' });

const describedStdioServer = stdioServer.meta({
  id: 'StdioMcpServer',
  description: 'Runs a command on the server: a 403 unless the server has ALLOW_STDIO_MCP=true.',
});

export const mcpServers = z.record(serverName, z.union([describedHttpServer, describedStdioServer])).openapi({
  description:
    'MCP servers for this run, by name (1 to 64 letters, digits, `_`, `-`; not `picoclaw`). `type` may be left out: ' +
    '`stdio` with a `command`, else `http`.',
  example: { search: { url: 'https://mcp.example.com/mcp', headers: { Authorization: 'Bearer mcp-token' } } },
});
