/** MCP servers that a caller names for one run. */

import { createServer, type Server } from 'node:http';
import { expect, test } from 'vitest';
import type { McpServer } from '../../src/domain/run.ts';
import { startAgentHost } from '../support/agent-host.ts';
import { startMcpServer } from '../support/agent-mcp-server.ts';

for (const type of ['http', 'sse', 'stdio'] as const) {
  test(`a tool of a working ${type} MCP server is offered from the first call on, called with its secrets, and answers`, async () => {
    await using host = await startAgentHost();
    await using mcp = await startMcpServer(type);
    const call = { name: 'mcp__library__lookup', arguments: JSON.stringify({ key: 'the-key' }) };
    host.model.mock.on({ userMessage: /look it up/, hasToolResult: false }, { toolCalls: [call] });
    host.model.mock.on({ userMessage: /look it up/, hasToolResult: true }, { content: 'Here.' });
    // While the model is held, the process is certainly there to be looked at.
    const held = host.model.fault({ kind: 'hold' });

    const running = host.run('look it up', {
      options: { mcpServers: { library: mcp.server({ 'x-tenant': 'tenant-secret' }) } },
    });
    await held.reached;
    const commandLines = (await host.processes()).map(({ command }) => command);
    held.release();
    const ran = await running;

    expect(ran.result).toMatchObject({ outcome: 'success', warnings: [] });
    expect(host.model.requests()[0]?.body.tools?.map((tool) => tool.name)).toContain('mcp__library__lookup');
    expect(host.model.requests()[1]?.raw).toContain('found the-key');
    expect(ran.events).toContainEqual({ type: 'tool_use', tool: 'mcp__library__lookup', input: { key: 'the-key' } });
    if (type === 'stdio') {
      expect(host.model.requests()[1]?.raw).toContain('tenant tenant-secret');
      expect(mcp.headers).toEqual([]);
    } else {
      expect(mcp.headers.every((each) => each['x-tenant'] === 'tenant-secret')).toBe(true);
      expect(mcp.headers.length).toBeGreaterThan(0);
    }
    expect(commandLines.join('')).toContain('claude');
    expect(commandLines.join('')).not.toContain('tenant-secret');
    expect(await host.processes()).toEqual([]);
  });
}

test('the servers of one run are gone in the next', async () => {
  await using host = await startAgentHost();
  await using mcp = await startMcpServer();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const first = await host.run('hello', { options: { mcpServers: { library: mcp.server() } } });
  await host.run('hello', { sessionId: first.sessionId, resume: true });

  const offered = host.model.requests().map((request) => request.body.tools?.map((tool) => tool.name));
  expect(offered[0]).toContain('mcp__library__lookup');
  expect(offered[1]).not.toContain('mcp__library__lookup');
});

for (const type of ['http', 'sse', 'stdio'] as const) {
  test(`a ${type} MCP server that cannot be reached is warned of by name, and the run goes on`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
    const library: McpServer =
      type === 'stdio' ? { type, command: '/nowhere/no-such-program' } : { type, url: await addressOfNobody() };

    const ran = await host.run('hello', { options: { mcpServers: { library } } });

    expect(ran.result.outcome).toBe('success');
    expect(ran.result.warnings).toEqual([expect.stringContaining('"library"')]);
  });
}

test('an MCP server that never answers is warned of, and the run goes on without it', async () => {
  await using host = await startAgentHost({ limits: { mcpConnectMs: 1_000 } });
  const silent = createServer(() => {});
  const url = await listen(silent);
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const ran = await host.run('hello', {
    options: { mcpServers: { library: { type: 'http', url } } },
  });
  silent.closeAllConnections();
  await new Promise((resolve) => silent.close(resolve));

  expect(ran.result.outcome).toBe('success');
  expect(ran.result.warnings).toEqual([expect.stringContaining('"library"')]);
});

/** The address of a server that has closed. */
async function addressOfNobody(): Promise<string> {
  const closed = createServer();
  const url = await listen(closed);
  await new Promise((resolve) => closed.close(resolve));
  return url;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return `http://127.0.0.1:${address.port}/mcp`;
}
