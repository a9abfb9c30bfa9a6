/** A program of a test: an MCP server over stdio with one tool, `lookup`, that answers `found <key> with <LOOKUP_SECRET>`. */

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { z } from 'zod';

const server = new McpServer({ name: 'test', version: '1.0.0' });
server.registerTool('lookup', { description: 'Looks a key up', inputSchema: { key: z.string() } }, async ({ key }) => ({
  content: [{ type: 'text', text: `found ${key} with ${process.env.LOOKUP_SECRET}` }],
}));
await server.connect(new StdioServerTransport());
