/** MCP servers over HTTP: what is sent with each request, streams that break, sessions that are forgotten, proxies. */

import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { makeFetch } from '../../src/agent/mcp-fetch.ts';
import { bridge, connectBridged, initialize, rawClient } from '../support/agent-mcp-client.ts';
import { listen, serveFull } from '../support/agent-mcp-full.ts';

const json = { 'content-type': 'application/json' };

describe('with each request', () => {
  it('the headers of the server are sent, and from the handshake on its version and its session', async () => {
    await using full = await serveFull('http', { 'x-key': 'k', Authorization: 'Bearer b' });
    await using bridged = await connectBridged(full.server);
    await bridged.client.callTool({ name: 'show', arguments: { key: 'a' } });
    await bridged.bridge.close();

    const sent = full.requests.map(({ method, headers }) => ({ method, ...headers }));
    expect(sent.map(({ method }) => method).toSorted()).toEqual(['DELETE', 'GET', 'POST', 'POST', 'POST']);
    for (const headers of sent) expect(headers).toMatchObject({ 'x-key': 'k', authorization: 'Bearer b' });
    expect(sent[0]).not.toHaveProperty('mcp-protocol-version');
    const session = { 'mcp-protocol-version': '2025-11-25', 'mcp-session-id': expect.any(String) };
    for (const headers of sent.slice(1)) expect(headers).toMatchObject(session);
  });

  it('the headers of the server are sent over SSE too, with what is asked and with what is said', async () => {
    await using full = await serveFull('sse', { 'x-key': 'k', Authorization: 'Bearer b' });
    await using bridged = await connectBridged(full.server);
    await bridged.client.callTool({ name: 'show', arguments: { key: 'a' } });

    expect(full.requests.map(({ method }) => method)).toEqual(['GET', 'POST', 'POST', 'POST']);
    for (const { headers } of full.requests) expect(headers).toMatchObject({ 'x-key': 'k', authorization: 'Bearer b' });
  });

  it('secrets do not follow a redirect to another server', async () => {
    await using elsewhere = await script(() => ({ result: {} }));
    await using mcp = await script((_, { outgoing }) => outgoing.writeHead(307, { location: elsewhere.url }).end());
    await expect(connectBridged({ type: 'http', url: mcp.url, headers: { 'x-key': 'k' } })).rejects.toThrow('Redirect');
    expect(elsewhere.requests).toEqual([]);
  });
});

describe('the answer to a call', () => {
  it('is an error when its stream ends without it', async () => {
    await using mcp = await script(({ method }, { outgoing }) => {
      if (method === 'tools/call') stream(outgoing).end(': nothing to say\n\n');
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('ended before the answer');
    await expect(bridged.client.listTools()).resolves.toEqual({ tools: [] });
    expect(bridged.bridge.lost).toBe(null);
  });

  it('is an error when the connection breaks in the middle of it', async () => {
    await using mcp = await script(({ method }, { outgoing }) => {
      if (method === 'tools/call') outgoing.writeHead(200, json).write('{"jsonrpc":"2.0"', () => outgoing.destroy());
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('MCP error -32000');
  });

  it('is an error when the server refuses the call with a status', async () => {
    await using mcp = await script(({ method }, { outgoing }) => {
      if (method === 'tools/call') outgoing.writeHead(503).end('too busy');
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('too busy (status 503)');
  });

  it('comes over another connection when its stream ends early and can be taken up again', async () => {
    await using mcp = await script(({ method, id }, { outgoing, incoming }) => {
      if (incoming.headers['last-event-id'] === 'event-1') {
        const answer = { jsonrpc: '2.0', id: 2, result: { content: [{ type: 'text', text: 'at last' }] } };
        stream(outgoing).end(`id: event-2\ndata: ${JSON.stringify(answer)}\n\n`);
      } else if (method === 'tools/call' && id === 2) {
        stream(outgoing).end('id: event-1\nretry: 10\ndata:\n\n');
      }
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });
    await bridged.client.listTools();

    const { content } = await bridged.client.callTool({ name: 'any' });

    expect(content).toEqual([{ type: 'text', text: 'at last' }]);
  });

  it('is an error when its stream cannot be taken up again', async () => {
    await using mcp = await script(({ method }, { outgoing, incoming }) => {
      if (incoming.headers['last-event-id'] === 'event-1') outgoing.writeHead(400).end();
      else if (method === 'tools/call') stream(outgoing).end('id: event-1\nretry: 10\ndata:\n\n');
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('ended before the answer');
  });

  it('may come over the stream for what the server says by itself, after the call was only accepted', async () => {
    const listening = Promise.withResolvers<ServerResponse>();
    await using mcp = await script(async ({ method, id }, { outgoing, incoming }) => {
      if (incoming.method === 'GET') listening.resolve(stream(outgoing));
      if (incoming.method === 'GET') outgoing.flushHeaders();
      if (method !== 'tools/call') return;
      await new Promise((resolve) => outgoing.writeHead(202).end(resolve));
      (await listening.promise).write(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } })}\n\n`);
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });
    await listening.promise;
    await bridged.client.listTools();

    await expect(bridged.client.callTool({ name: 'any' })).resolves.toEqual({ content: [] });
  });

  it('is an error when the stream that takes the other up says nothing', async () => {
    await using mcp = await script(({ method }, { outgoing, incoming }) => {
      if (incoming.headers['last-event-id'] === 'event-1') stream(outgoing).end();
      else if (method === 'tools/call') stream(outgoing).end('id: event-1\nretry: 10\ndata:\n\n');
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('ended before the answer');
  });

  it.each(['\u0141', ' event-1'])('is an error when no header can ask for what follows on the event %j', async (id) => {
    await using mcp = await script(({ method }, { outgoing }) => {
      if (method === 'tools/call') stream(outgoing).end(`id: ${id}\nretry: 10\ndata:\n\n`);
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('ended before the answer');
  });

  it.each([
    ['the call is only accepted', 202, json, ''],
    ['no message comes back', 200, json, '[]'],
    ['the answer to something else comes back', 200, json, '{"jsonrpc":"2.0","id":"other","result":{}}'],
    ['a stream without a body comes back', 200, { 'content-type': 'text/event-stream', 'content-length': '0' }, ''],
  ])('is an error when %s', async (_, status, headers, body) => {
    await using mcp = await script(({ method }, { outgoing }) => {
      if (method === 'tools/call') outgoing.writeHead(status, headers).end(body);
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('ended before the answer');
    await expect(bridged.client.listTools()).resolves.toEqual({ tools: [] });
  });
});

it.each([
  ['a whole answer', json['content-type'], ['-'.repeat(1_002)], false],
  ['a whole answer that is small enough', json['content-type'], ['-'.repeat(1_001)], true],
  ['a line of a stream', 'text/event-stream', ['-'.repeat(1_002)], false],
  ['an event of many lines', 'text/event-stream', Array(101).fill('data: 123\n'), false],
  ['a stream of events', 'text/event-stream', Array(10).fill(`${'-'.repeat(500)}\n${'-'.repeat(497)}\n\n`), true],
  ['a stream whose lines end with CR and LF', 'text/event-stream', Array(10).fill(`${'-'.repeat(997)}\r\n\r\n`), true],
  ['a stream whose lines end with CR', 'text/event-stream', Array(10).fill(`${'-'.repeat(998)}\r\r`), true],
  [
    'an event that ends in two pieces',
    'text/event-stream',
    Array(10)
      .fill(['-'.repeat(999), '\n', '\n'])
      .flat(),
    true,
  ],
])('%s may be so large and no larger', async (_, type, pieces, isTaken) => {
  await using mcp = await script(async (__, { outgoing }) => {
    outgoing.writeHead(200, { 'content-type': type });
    for (const piece of pieces) await new Promise((resolve) => outgoing.write(piece, resolve));
    outgoing.end();
  });
  const { fetch } = makeFetch({ env: {}, maxMessageBytes: 1_001 });

  const text = fetch(mcp.url).then((response) => response.text());

  if (isTaken) await expect(text).resolves.toBe(pieces.join(''));
  else await expect(text).rejects.toThrow('too large');
});

it.each([0, 99, 600, 999])('an answer with the status %i, which is none, is an error', async (status) => {
  const line = `HTTP/1.1 ${String(status).padStart(3, '0')} Odd`;
  await using mcp = await script(
    (_, { incoming }) => void incoming.socket.end(`${line}\r\ncontent-length: 2\r\n\r\nhi`),
  );
  const { fetch } = makeFetch({ env: {}, maxMessageBytes: 1_000 });

  await expect(fetch(mcp.url)).rejects.toThrow('status');
  await expect(connectBridged({ type: 'http', url: mcp.url })).rejects.toThrow('status');
});

it('an answer that nobody reads does no harm when it is given up', async () => {
  await using mcp = await script((_, { outgoing }) => void stream(outgoing).write('data: 1\n\n'));
  const { fetch } = makeFetch({ env: {}, maxMessageBytes: 1_000 });
  const [unread, cancelled] = [new AbortController(), new AbortController()];

  await fetch(mcp.url, { signal: unread.signal });
  unread.abort();
  const response = await fetch(mcp.url, { signal: cancelled.signal });
  await response.body?.cancel();
  cancelled.abort();

  await expect(fetch(mcp.url, { signal: unread.signal })).rejects.toThrow('abort');
});

it.each([
  ['the wrong status', 404, 'text/event-stream'],
  ['the wrong type', 200, 'text/html'],
])('of an SSE server that answers without end and with %s no connection is left', async (_, status, type) => {
  const closed = Promise.withResolvers<void>();
  await using mcp = await script((__, { outgoing }) => {
    outgoing.on('close', closed.resolve);
    outgoing.writeHead(status, { 'content-type': type }).write('1');
  });
  await using bridged = await bridge({ type: 'sse', url: mcp.url });
  const client = rawClient(bridged.transport);
  await client.send({ ...initialize, id: 0 });
  await client.answer(0);

  await bridged.bridge.close();

  await closed.promise;
});

describe('a session that the server has forgotten', () => {
  it.each([
    ['', {}],
    [', when it says so as a stream', { 'content-type': 'text/event-stream' }],
  ])('is begun anew, once, and what was asked is asked again%s', async (_, headers) => {
    let session = 1;
    const calls: string[] = [];
    await using mcp = await script(({ method }, { incoming, outgoing }) => {
      if (method === 'initialize') return { headers: { 'mcp-session-id': `session-${session}` } };
      if (incoming.headers['mcp-session-id'] !== `session-${session}`)
        return outgoing.writeHead(404, headers).end('no');
      if (method !== 'tools/call') return null;
      calls.push(String(incoming.headers['mcp-protocol-version']));
      return { result: { content: [] } };
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });
    await bridged.client.listTools();
    session = 2;

    const call = () => bridged.client.callTool({ name: 'any' });
    expect(await Promise.all([call(), call(), call()])).toEqual([{ content: [] }, { content: [] }, { content: [] }]);

    expect(calls).toEqual(['2025-11-25', '2025-11-25', '2025-11-25']);
    const handshakes = mcp.requests.filter(({ method }) => method?.includes('initialize'));
    expect(handshakes.map(({ method }) => method)).toEqual([
      'initialize',
      'notifications/initialized',
      'initialize',
      'notifications/initialized',
    ]);
  });

  it('is an error when it cannot be begun anew', async () => {
    let isOver = false;
    await using mcp = await script(({ method }, { outgoing }) => {
      if (isOver) return outgoing.writeHead(404).end();
      return method === 'initialize' ? { headers: { 'mcp-session-id': 'session-1' } } : null;
    });
    await using bridged = await connectBridged({ type: 'http', url: mcp.url });
    await bridged.client.listTools();
    isOver = true;

    await expect(bridged.client.callTool({ name: 'any' })).rejects.toThrow('404');
    isOver = false;
    await expect(bridged.client.listTools()).resolves.toBeTruthy();
  });
});

it('nothing is asked before the server knows that the client is ready', async () => {
  const ready = Promise.withResolvers<void>();
  const told = Promise.withResolvers<void>();
  await using mcp = await script(async ({ method }, { outgoing }) => {
    if (method !== 'notifications/initialized') return;
    told.resolve();
    await ready.promise;
    outgoing.writeHead(202).end();
  });
  await using bridged = await connectBridged({ type: 'http', url: mcp.url });

  const listing = bridged.client.listTools();
  await told.promise;
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(mcp.requests.map(({ method }) => method)).toEqual(['initialize', 'notifications/initialized']);

  ready.resolve();
  await listing;
});

it('a proxy in the environment is used', async () => {
  await using full = await serveFull('http');
  const { port } = new URL(full.server.type === 'http' ? full.server.url : '');
  const asked: (string | undefined)[] = [];
  await using proxy = await script((_, { incoming, outgoing }) => {
    asked.push(incoming.url);
    const { pathname } = new URL(incoming.url ?? '');
    const onward = request({ port, path: pathname, method: incoming.method, headers: incoming.headers });
    onward.on('response', (response) => {
      outgoing.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(outgoing);
    });
    incoming.pipe(onward).on('error', () => outgoing.destroy());
  });
  const env = { HTTP_PROXY: new URL(proxy.url).origin };
  await using bridged = await connectBridged({ type: 'http', url: 'http://mcp.invalid/mcp' }, { env });

  await bridged.client.callTool({ name: 'show', arguments: { key: 'a' } });

  expect(new Set(asked)).toEqual(new Set(['http://mcp.invalid/mcp']));
});

function stream(outgoing: ServerResponse): ServerResponse {
  return outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
}

type Said = { method?: string; id?: number };
type Answer = { result?: object; headers?: Record<string, string> };

/** A server that answers as it is told to, and where it is told nothing, as one without tools. */
async function script(
  answer: (said: Said, via: { incoming: IncomingMessage; outgoing: ServerResponse }) => unknown,
): Promise<AsyncDisposable & { url: string; requests: Said[] }> {
  const requests: Said[] = [];
  const http = createServer(async (incoming, outgoing) => {
    let body = '';
    if (!incoming.url?.startsWith('http:')) for await (const chunk of incoming) body += chunk;
    const said: Said = body === '' ? {} : JSON.parse(body);
    if (said.method !== undefined) requests.push(said);
    const told = await answer(said, { incoming, outgoing });
    if (outgoing.headersSent || outgoing.destroyed || incoming.url?.startsWith('http:')) return;
    if (incoming.method !== 'POST') outgoing.writeHead(405).end();
    else if (said.id === undefined) outgoing.writeHead(202).end();
    else {
      const { result, headers } = { ...(typeof told === 'object' ? told : null) } as Answer;
      outgoing.writeHead(200, { ...json, ...headers });
      outgoing.end(JSON.stringify({ jsonrpc: '2.0', id: said.id, result: result ?? resultOf(said) }));
    }
  });
  const url = `http://127.0.0.1:${await listen(http)}/mcp`;
  return {
    url,
    requests,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}

function resultOf({ method }: Said): object {
  if (method !== 'initialize') return { tools: [] };
  const serverInfo = { name: 'scripted', version: '1.0.0' };
  return { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo };
}
