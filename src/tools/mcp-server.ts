/**
 * The tools as an MCP server, without a transport. Each client needs an instance of its own.
 *
 * The SDK's own way of calling tools is not used: it says in its own words what is wrong with arguments.
 */

import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { CallToolRequestSchema, type CallToolResult, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { toolServerName } from '../domain/mcp-server.ts';
import { tools } from './definitions.ts';

export type McpServerDeps = {
  version: string;
  call(tool: string, args: unknown): Promise<CallToolResult>;
};

export function makeMcpServer({ version, call }: McpServerDeps): McpServer {
  const mcp = new McpServer({ name: toolServerName, version });
  mcp.server.registerCapabilities({ tools: {} });
  mcp.server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: listed() }));
  mcp.server.setRequestHandler(CallToolRequestSchema, ({ params }) => call(params.name, params.arguments ?? {}));
  return mcp;
}

function listed() {
  return tools.map(({ name, description, input, annotations }) => ({
    name,
    description,
    inputSchema: { ...z.toJSONSchema(input, { target: 'draft-7', io: 'input' }), type: 'object' as const },
    annotations,
    // Clients of Claude would otherwise keep the schema back until the model searches for the tool.
    _meta: { 'anthropic/alwaysLoad': true },
  }));
}
