/** MCP servers that a caller names for one run. */

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { expect, test } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';
import { startMcpServer } from '../support/agent-mcp-server.ts';

test('a tool of an http MCP server is offered from the first call on, called with its headers, and answers', async () => {
  await using host = await startAgentHost();
  await using mcp = await startMcpServer();
  const call = { name: 'mcp__library__lookup', arguments: JSON.stringify({ key: 'the-key' }) };
  host.model.mock.on({ userMessage: /look it up/, hasToolResult: false }, { toolCalls: [call] });
  host.model.mock.on({ userMessage: /look it up/, hasToolResult: true }, { content: 'Here.' });
  const headers = { 'x-tenant': 'tenant-secret' };
  const commandLines: string[] = [];

  const ran = await host.run('look it up', {
    options: { mcpServers: { library: { type: 'http', url: mcp.url, headers } } },
    onEvent: async () => {
      for (const { pid } of await host.processes()) {
        commandLines.push(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
      }
    },
  });

  expect(ran.result).toMatchObject({ outcome: 'success', warnings: [] });
  expect(host.model.requests()[0]?.body.tools?.map((tool) => tool.name)).toContain('mcp__library__lookup');
  expect(host.model.requests()[1]?.raw).toContain('found the-key');
  expect(ran.events).toContainEqual({ type: 'tool_use', tool: 'mcp__library__lookup', input: { key: 'the-key' } });
  expect(mcp.headers.every((each) => each['x-tenant'] === 'tenant-secret')).toBe(true);
  expect(mcp.headers.length).toBeGreaterThan(0);
  expect(commandLines.join('')).toContain('claude');
  expect(commandLines.join('')).not.toContain('tenant-secret');
});

test('the servers of one run are gone in the next', async () => {
  await using host = await startAgentHost();
  await using mcp = await startMcpServer();
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const first = await host.run('hello', { options: { mcpServers: { library: { type: 'http', url: mcp.url } } } });
  await host.run('hello', { sessionId: first.sessionId, resume: true });

  const offered = host.model.requests().map((request) => request.body.tools?.map((tool) => tool.name));
  expect(offered[0]).toContain('mcp__library__lookup');
  expect(offered[1]).not.toContain('mcp__library__lookup');
});

for (const server of [
  { type: 'http', url: 'http://127.0.0.1:9/mcp' },
  { type: 'sse', url: 'http://127.0.0.1:9/sse' },
  { type: 'stdio', command: '/nowhere/no-such-program' },
] as const) {
  test(`a ${server.type} MCP server that cannot be reached is warned of by name, and the run goes on`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

    const ran = await host.run('hello', { options: { mcpServers: { library: server } } });

    expect(ran.result.outcome).toBe('success');
    expect(ran.result.warnings).toEqual([expect.stringContaining('"library"')]);
  });
}

test('an MCP server that never answers is warned of, and the run goes on without it', async () => {
  await using host = await startAgentHost({ limits: { mcpConnectMs: 1_000 } });
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const ran = await host.run('hello', {
    options: { mcpServers: { library: { type: 'http', url: `http://127.0.0.1:${port}/mcp` } } },
  });
  silent.closeAllConnections();
  await new Promise((resolve) => silent.close(resolve));

  expect(ran.result.outcome).toBe('success');
  expect(ran.result.warnings).toEqual([expect.stringContaining('"library"')]);
});
