/** The MCP server of `agent-mcp-server.ts` as a program that speaks over stdin and stdout. */

import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { makeMcpServer } from './agent-mcp-server.ts';

await makeMcpServer().connect(new StdioServerTransport());
