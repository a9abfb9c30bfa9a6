/** MCP servers that a caller names for one run, and those that the organisation's file names for every run. */

import { rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { McpServer } from '../../src/domain/run.ts';
import { startAgentHost } from '../support/agent-host.ts';
import { makeMcpServer, startMcpServer } from '../support/agent-mcp-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

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

test('the organisation’s servers, the caller’s and our own tools work together, in every run', async () => {
  const orgDir = temporaryFolder();
  await using web = await startMcpServer('http');
  await using files = await startMcpServer('stdio');
  await using own = await startMcpServer('http');
  // From the environment of the server, of which the claude process has nothing.
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the file's own placeholder
  const secret = { 'x-tenant': '${TENANT}' };
  await writeFile(
    join(orgDir, 'managed-mcp.json'),
    JSON.stringify({ mcpServers: { web: web.server(secret), files: files.server(secret) } }),
  );
  const baseEnv = { PATH: process.env.PATH, TENANT: 'tenant-secret' };
  await using host = await startAgentHost({ orgDir, baseEnv, toolServer: async () => makeMcpServer() });
  const servers = ['web', 'files', 'caller', 'picoclaw'];
  for (const name of servers) {
    const call = { name: `mcp__${name}__lookup`, arguments: JSON.stringify({ key: `in-${name}` }) };
    host.model.mock.on({ userMessage: new RegExp(`ask ${name}`), hasToolResult: false }, { toolCalls: [call] });
    host.model.mock.on({ userMessage: new RegExp(`ask ${name}`), hasToolResult: true }, { content: 'Here.' });
  }

  for (const name of servers) {
    const ran = await host.run(`ask ${name}`, { options: { mcpServers: { caller: own.server() } } });

    expect(ran.result).toMatchObject({ outcome: 'success', warnings: [] });
    const request = host.model.requests().at(-1);
    const offered = request?.body.tools?.map((tool) => tool.name).filter((tool) => tool.startsWith('mcp__'));
    expect(offered?.sort()).toEqual(servers.map((each) => `mcp__${each}__lookup`).sort());
    expect(request?.raw).toContain(`found in-${name}`);
    if (name === 'files') expect(request?.raw).toContain('tenant tenant-secret');
  }
  expect(web.headers.length).toBeGreaterThan(0);
  expect(web.headers.every((each) => each['x-tenant'] === 'tenant-secret')).toBe(true);
  expect(host.log.join('')).not.toContain('tenant-secret');
});

test('an edit of the organisation’s file is seen by the next run, a fault in it is warned of, its end too is seen', async () => {
  const orgDir = temporaryFolder();
  const path = join(orgDir, 'managed-mcp.json');
  await using mcp = await startMcpServer();
  await using host = await startAgentHost({ orgDir });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const states = [
    null,
    JSON.stringify({ mcpServers: { one: mcp.server() } }),
    JSON.stringify({ mcpServers: { two: mcp.server() } }),
    '{ "mcpServers": {\n "two": { "url": "no-url-but-a-s3cret" } } }',
    null,
  ];

  const { sessionId } = await host.run('hello');
  const warnings: string[][] = [];
  for (const state of states) {
    if (state === null) await rm(path, { force: true });
    else await writeFile(path, state);
    const ran = await host.run('hello', { sessionId, resume: true });
    expect(ran.result.outcome).toBe('success');
    warnings.push(ran.result.warnings);
  }

  const offered = host.model.requests().map(({ body }) => {
    return body.tools?.map((tool) => tool.name).filter((name) => name.startsWith('mcp__'));
  });
  const [one, two] = [['mcp__one__lookup'], ['mcp__two__lookup']];
  expect(offered).toEqual([[], [], one, two, two, []]);
  expect(warnings).toEqual([[], [], [], [expect.stringContaining('managed-mcp.json has a fault')], []]);
  expect(host.log.join('')).toContain('managed-mcp.json: line 2, mcpServers.two.url: must be an http or https URL');
  expect(host.log.join('')).not.toContain('s3cret');
});

test('of two servers of one name the organisation’s is used, and the caller is told', async () => {
  const orgDir = temporaryFolder();
  await using organisations = await startMcpServer();
  await using callers = await startMcpServer();
  await writeFile(
    join(orgDir, 'managed-mcp.json'),
    JSON.stringify({ mcpServers: { library: organisations.server() } }),
  );
  await using host = await startAgentHost({ orgDir });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });

  const ran = await host.run('hello', { options: { mcpServers: { library: callers.server() } } });

  expect(ran.result).toMatchObject({ outcome: 'success', warnings: [expect.stringContaining('"library"')] });
  expect(organisations.headers.length).toBeGreaterThan(0);
  expect(callers.headers).toEqual([]);
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
