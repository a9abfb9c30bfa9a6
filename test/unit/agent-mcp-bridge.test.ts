/** The bridge between a claude process and an MCP server outside: what passes, and what is answered when nothing can. */

import { createServer } from 'node:http';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it } from 'vitest';
import type { McpServer } from '../../src/domain/run.ts';
import { bridge, connectBridged, initialize, makeClient, rawClient } from '../support/agent-mcp-client.ts';
import { listen, serveFull } from '../support/agent-mcp-full.ts';

const types = ['http', 'sse', 'stdio'] as const;

describe.each(types)('over %s', (type) => {
  it('everything that a server says and does is as it is directly', async () => {
    await using direct = await connectDirectly(type);
    await using full = await serveFull(type);
    await using bridged = await connectBridged(full.server);

    const over = await tryAll(bridged.client);

    expect(over).toEqual(await tryAll(direct.client));
    expect(over.shown).toMatchObject({ structuredContent: { key: 'a', nested: { list: [1, 2.5, -3] } } });
    expect(over.large).toBe(1_000_000);
  });

  it('progress is told as it is made, before the answer', async () => {
    await using full = await serveFull(type);
    await using bridged = await bridge(full.server);
    const client = rawClient(bridged.transport);
    await client.send({ ...initialize, id: 0 });
    await client.answer(0);
    await client.send({ method: 'notifications/initialized' });

    await client.send({
      method: 'tools/call',
      id: 1,
      params: { name: 'progress', arguments: {}, _meta: { progressToken: 'p-1' } },
    });
    await client.answer(1);

    const steps = client.received.slice(-4).map((message) => Object(message).params);
    const step = (progress: number) => ({ progressToken: 'p-1', progress, total: 3, message: `step ${progress}` });
    expect(steps).toEqual([step(1), step(2), step(3), undefined]);
  });

  it('what a server asks of the client is answered by the client', async () => {
    await using full = await serveFull(type);
    await using bridged = await connectBridged(full.server);

    const asked = await Promise.all([1, 2, 3].map(() => bridged.client.callTool({ name: 'ask' })));

    const answers = [{}, { roots: [{ uri: 'file:///memory' }] }, { action: 'accept', content: { which: 'this one' } }];
    for (const { content } of asked) expect(content).toEqual([{ type: 'text', text: JSON.stringify(answers) }]);
  });

  it('a call that is cancelled is cancelled at the server', async () => {
    await using full = await serveFull(type);
    await using bridged = await connectBridged(full.server);
    const told = nextOf(bridged.client, LoggingMessageNotificationSchema);
    const cancel = new AbortController();

    const call = bridged.client.callTool({ name: 'hang' }, undefined, { signal: cancel.signal });
    await bridged.client.ping();
    cancel.abort();

    await expect(call).rejects.toThrow('abort');
    expect(await told).toMatchObject({ params: { data: 'the call was cancelled' } });
  });

  it('a handshake that is repeated has the answer of the first, and the server is asked once', async () => {
    await using full = await serveFull(type);
    await using bridged = await bridge(full.server);
    const client = rawClient(bridged.transport);

    await client.send({ ...initialize, id: 'sdk:0' });
    await client.send({ ...initialize, id: 0 });
    const [first, second] = await Promise.all([client.answer('sdk:0'), client.answer(0)]);
    await client.send({ method: 'notifications/initialized' });
    await client.send({ method: 'tools/list', id: 1 });
    await client.send({ ...initialize, id: 2 });
    await client.send({ method: 'notifications/initialized' });
    await client.send({ method: 'tools/list', id: 3 });
    const [tools, third, toolsAgain] = await Promise.all([1, 2, 3].map(client.answer));

    expect(first).toMatchObject({ result: { serverInfo: { name: 'full' }, protocolVersion: '2025-11-25' } });
    for (const [id, repeated] of [second, third].entries()) expect(repeated).toEqual({ ...Object(first), id: 2 * id });
    expect(toolsAgain).toEqual({ ...Object(tools), id: 3 });
    const posts = full.requests.filter(({ method }) => method === 'POST');
    if (type !== 'stdio') expect(posts).toHaveLength(4);
  });

  it('a server that goes is told of at once, and every later call is answered with an error', async () => {
    await using full = await serveFull(type, { 'x-key': 'its-own-secret' });
    await using bridged = await connectBridged(full.server);
    const pending = bridged.client.callTool({ name: 'hang' });
    pending.catch(() => undefined);
    await bridged.client.ping();

    if (type === 'stdio') await expect(bridged.client.callTool({ name: 'die' })).rejects.toThrow('exited with code 3');
    else await full.stop();

    await expect(pending).rejects.toThrow(/^MCP error -32000: /);
    await expect(bridged.client.callTool({ name: 'show', arguments: { key: 'a' } })).rejects.toThrow(
      'MCP error -32000',
    );
    // Each call over HTTP is a new attempt: the server may be there again.
    if (type === 'http') expect(bridged.bridge.lost).toBe(null);
    else expect(bridged.bridge.lost).toEqual(expect.any(String));
    if (type === 'stdio') expect(bridged.log.join('')).toContain('last words with [secret]');
  });

  it('closing it ends the connection, answers what is pending, and may be repeated', async () => {
    await using full = await serveFull(type);
    await using bridged = await connectBridged(full.server);
    const pending = bridged.client.callTool({ name: 'hang' });
    pending.catch(() => undefined);
    await bridged.client.ping();

    await Promise.all([bridged.bridge.close(), bridged.bridge.close()]);
    await bridged.bridge.close();

    await expect(pending).rejects.toThrow('no longer needed');
    await expect(bridged.client.listTools()).rejects.toThrow('no longer needed');
    if (type === 'http') expect(full.requests.at(-1)?.method).toBe('DELETE');
    expect(bridged.log.filter((line) => JSON.parse(line).level >= 40)).toEqual([]);
  });

  it('it closes with the claude process', async () => {
    await using full = await serveFull(type);
    await using bridged = await connectBridged(full.server);

    await bridged.client.close();

    expect(bridged.bridge.lost).toContain('no longer needed');
  });
});

describe('a server that cannot be had', () => {
  const secret = 'Bearer s3cret-token';
  const respond = (status: number, type: string, body: string) => async () => {
    const http = createServer((_, outgoing) => outgoing.writeHead(status, { 'content-type': type }).end(body));
    const url = `http://127.0.0.1:${await listen(http)}/mcp`;
    return { url, stop: () => http.close() };
  };
  const nobody = async () => {
    const { url, stop } = await respond(200, 'text/plain', '')();
    await new Promise((resolve) => stop().on('close', resolve));
    return { url, stop };
  };
  const silent = async () => {
    const http = createServer(() => undefined);
    const url = `http://127.0.0.1:${await listen(http)}/mcp`;
    return { url, stop: () => http.close().closeAllConnections() };
  };
  const refusal = JSON.stringify({ jsonrpc: '2.0', id: 0, error: { code: -32602, message: 'not for you' } });
  const http = [
    ['does not listen', nobody, 'ECONNREFUSED'],
    ['refuses with a status', respond(401, 'text/plain', `what is ${secret}?`), '401'],
    ['speaks something else', respond(200, 'text/html', '<h1>Hello</h1>'), ''],
    ['sends what is no message', respond(200, 'application/json', '{"a":1}'), ''],
    ['never answers', silent, 'in time'],
    ['refuses in its own words', respond(200, 'application/json', refusal), 'not for you'],
  ] as const;

  it.each(http)('over HTTP, that %s', async (_, start, said) => {
    const { url, stop } = await start();
    await isRefused({ type: 'http', url, headers: { Authorization: secret } }, said);
    stop();
  });

  it.each(http.slice(0, 5))('over SSE, that %s', async (_, start, said) => {
    const { url, stop } = await start();
    await isRefused({ type: 'sse', url, headers: { Authorization: secret } }, said);
    stop();
  });

  it.each([
    ['is not there', '/nowhere/no-such-program', [], 'ENOENT'],
    ['ends at once', 'sh', ['-c', 'echo "$KEY" >&2; exit 3'], 'exited with code 3'],
    ['prints what is no message, and says no more', 'sh', ['-c', 'echo hello; echo "[1]"; cat > /dev/null'], 'in time'],
  ])('over stdio, that %s', async (_, command, args, said) => {
    await isRefused({ type: 'stdio', command, args, env: { KEY: secret } }, said);
  });

  it.each([
    [
      'its query',
      '/mcp?key=open%20sesame-1&a=1',
      { status: 404, body: 'no ?key=open%20sesame-1&a=1: not open sesame-1' },
    ],
    ['its path', '/s/open-sesame-of-long-ago/mcp', { status: 404, body: 'Cannot POST /s/open-sesame-of-long-ago/mcp' }],
    ['two headers, one of which begins as the other', '/mcp', { status: 401, body: 'who is 0123456/open-sesame?' }],
  ])('does not tell the secret of %s', async (_, path, { status, body }) => {
    const { url, stop } = await respond(status, 'text/plain', body)();
    const headers = { 'x-user': '0123456', 'x-key': '0123456/open-sesame' };
    await using bridged = await bridge({ type: 'http', url: new URL(path, url).href, headers });
    const client = rawClient(bridged.transport);

    await client.send({ ...initialize, id: 0 });
    const refused = await client.answer(0);

    expect(JSON.stringify(refused)).toContain('[secret]');
    expect(JSON.stringify([refused, bridged.log])).not.toMatch(/sesame/);
    stop();
  });

  it('was never asked', async () => {
    const { transport, ...bridged } = await bridge({ type: 'stdio', command: '/nowhere/no-such-program' });
    await bridged.bridge.close();
    await transport.send({ jsonrpc: '2.0', method: 'notifications/initialized' });
  });

  async function isRefused(server: McpServer, said: string): Promise<void> {
    await using bridged = await bridge(server, { connectMs: 300 });
    const client = rawClient(bridged.transport);

    await client.send({ ...initialize, id: 0 });
    const refused = await client.answer(0);
    await client.send({ ...initialize, id: 1 });
    const refusedAgain = await client.answer(1);

    expect(refused).toMatchObject({ error: { message: expect.stringContaining(said) } });
    expect(refusedAgain).toMatchObject({ error: { message: expect.stringContaining(said) } });
    expect(bridged.bridge.lost).toContain(said);
    const warnings = bridged.log.map((line) => JSON.parse(line)).filter(({ level }) => level >= 40);
    expect(warnings).toEqual([expect.objectContaining({ mcp_server: 'library', reason: bridged.bridge.lost })]);
    expect(JSON.stringify([refused, refusedAgain, bridged.log])).not.toContain('s3cret-token');
  }
});

it('a bridge is for one claude process', async () => {
  await using full = await serveFull('stdio');
  await using bridged = await connectBridged(full.server);

  await expect(bridged.bridge.config.instance.connect(bridged.transport)).rejects.toThrow('one claude process');
});

/** The client of the MCP library with the library's own transport. */
async function connectDirectly(type: McpServer['type']): Promise<AsyncDisposable & { client: Client }> {
  const full = await serveFull(type);
  const client = makeClient();
  const { server } = full;
  const transport: Transport =
    server.type === 'stdio'
      ? new StdioClientTransport({ command: server.command, args: server.args ?? [] })
      : new { http: StreamableHTTPClientTransport, sse: SSEClientTransport }[server.type](new URL(server.url));
  await client.connect(transport);
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await full.stop();
    },
  };
}

async function tryAll(client: Client) {
  const call = async (name: string, args: Record<string, unknown> = {}) => {
    return await client.callTool({ name, arguments: args, _meta: { 'example.com/trace': [1] } });
  };
  const refused = async (asked: Promise<unknown>) => {
    const error = await asked.then(() => null, Object);
    return [error?.code, error?.message, error?.data];
  };
  const updated = nextOf(client, ResourceUpdatedNotificationSchema);
  const changed = nextOf(client, ToolListChangedNotificationSchema);
  return {
    server: client.getServerVersion(),
    capabilities: client.getServerCapabilities(),
    instructions: client.getInstructions(),
    tools: await client.listTools(),
    shown: await call('show', { key: 'a' }),
    failed: await call('fail'),
    unknown: await refused(call('no-such-tool')),
    wrong: await refused(call('show', { key: 3 })),
    large: String(Object(await call('large', { bytes: 2_000_000 })).content[0].text).length,
    resources: await client.listResources(),
    templates: await client.listResourceTemplates(),
    read: await client.readResource({ uri: 'notes://one' }),
    unreadable: await refused(client.readResource({ uri: 'notes://three' })),
    subscribed: await client.subscribeResource({ uri: 'notes://one' }),
    updated: await updated,
    prompts: await client.listPrompts(),
    prompt: await client.getPrompt({ name: 'greet', arguments: { name: 'you' } }),
    grown: await call('grow'),
    changed: await changed,
    toolsThen: await client.listTools(),
  };
}

function nextOf(client: Client, schema: Parameters<Client['setNotificationHandler']>[0]): Promise<unknown> {
  return new Promise((resolve) => client.setNotificationHandler(schema, resolve));
}
