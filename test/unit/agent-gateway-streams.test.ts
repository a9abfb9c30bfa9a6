/** What breaks, stalls or freezes on one side of the model gateway, and what the other side sees of it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { createUpstream } from '../../src/agent/gateway/upstream.ts';
import {
  listenOnLoopback,
  readText,
  startTestGateway,
  startUpstream,
  type TestGateway,
} from '../support/gateway-upstream.ts';
import { until } from '../support/until.ts';

const post = { path: '/v1/messages', body: '{"stream":true}' };

test('an answer passes as it comes: headers before the body, each chunk before the next', async () => {
  const answering = Promise.withResolvers<ServerResponse>();
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    answering.resolve(outgoing);
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.open(post);
  const outgoing = await answering.promise;
  const chunks = answer.iterator();
  for (const chunk of ['data: 1\n\n', 'data: 2\n', '\n']) {
    outgoing.write(chunk);
    expect(String((await chunks.next()).value)).toBe(chunk);
  }
  outgoing.end();
  expect(await chunks.next()).toMatchObject({ done: true });
  expect(answer.complete).toBe(true);
});

test('an answer is read from the upstream no faster than the process reads it', async () => {
  // More than the buffers of the connections between them can hold.
  const bytes = 32_000_000;
  let isWritten = false;
  await using upstream = await startUpstream((request, outgoing) => {
    if (request.method === 'GET') return void outgoing.end('{}');
    outgoing.end(Buffer.alloc(bytes, 'x'), () => {
      isWritten = true;
    });
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.open(post);
  // Long enough for all of it to pass, were it not held back.
  for (let trips = 0; trips < 50; trips += 1) await host.send({ method: 'GET', path: '/v1/models' });
  expect(isWritten).toBe(false);

  let received = 0;
  for await (const chunk of answer) received += chunk.length;
  expect(received).toBe(bytes);
});

test('a large body arrives whole', async () => {
  await using upstream = await startUpstream((_, outgoing) => outgoing.end('{}'));
  await using host = await startTestGateway({ upstream: upstream.url });
  const body = JSON.stringify({ text: 'ü'.repeat(4_000_000) });

  await host.send({ ...post, body });

  expect(upstream.requests[0]?.body === body).toBe(true);
});

for (const when of ['before the answer', 'in the middle of the answer'] as const) {
  test(`a process that hangs up ${when} cancels the request at the upstream`, async () => {
    const cancelled = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    await using upstream = await startUpstream((_, outgoing) => {
      outgoing.once('close', cancelled.resolve);
      if (when === 'in the middle of the answer') outgoing.write('data: 1\n\n');
      asked.resolve();
    });
    await using host = await startTestGateway({ upstream: upstream.url });

    const socket = host.connect();
    socket.write(`${headOf(host)}Content-Length: 2\r\n\r\n{}`);
    await asked.promise;
    if (when === 'in the middle of the answer') await once(socket, 'data');
    socket.destroy();

    await cancelled.promise;
    expect(host.log).toEqual([]);
  });
}

test('a process that hangs up in the middle of its request has asked nothing', async () => {
  await using upstream = await startUpstream((_, outgoing) => outgoing.end('{}'));
  await using host = await startTestGateway({ upstream: upstream.url });

  const socket = host.connect();
  socket.end(`${headOf(host)}Content-Length: 9\r\n\r\n{"a"`);
  await once(socket.resume(), 'close');
  await host.send(post);

  expect(upstream.requests).toHaveLength(1);
  expect(host.log).toEqual([]);
});

for (const how of ['revoke', 'stop'] as const) {
  test(`${how} cuts an answer under way: it does not end, it breaks, and the upstream is let go`, async () => {
    const cancelled = Promise.withResolvers<void>();
    await using upstream = await startUpstream((_, outgoing) => {
      outgoing.once('close', cancelled.resolve);
      outgoing.write('data: 1\n\n');
    });
    await using host = await startTestGateway({ upstream: upstream.url });
    const answer = await host.open(post);
    await once(answer, 'readable');

    if (how === 'revoke') host.pass.revoke();
    else await host.gateway.stop();

    await expect(readText(answer)).rejects.toThrow('aborted');
    await cancelled.promise;
    expect(answer.complete).toBe(false);
  });
}

const breaks: [string, (outgoing: ServerResponse) => void][] = [
  ['resets the connection', (outgoing) => outgoing.socket?.resetAndDestroy()],
  ['closes the connection', (outgoing) => outgoing.socket?.destroy()],
];

for (const [what, breakOff] of breaks) {
  for (const framing of ['chunks', 'a length'] as const) {
    test(`an upstream that ${what} in the middle of ${framing} breaks the answer off`, async () => {
      const answering = Promise.withResolvers<ServerResponse>();
      await using upstream = await startUpstream((_, outgoing) => {
        if (framing === 'a length') outgoing.writeHead(200, { 'content-length': '1000' });
        outgoing.write('data: 1\n\n');
        answering.resolve(outgoing);
      });
      await using host = await startTestGateway({ upstream: upstream.url });

      const answer = await host.open(post);
      const [first] = await once(answer, 'data');
      answer.pause();
      breakOff(await answering.promise);

      expect(String(first)).toBe('data: 1\n\n');
      await expect(readText(answer)).rejects.toThrow('aborted');
      expect(answer.complete).toBe(false);
      expect(host.log.join('')).toContain('broke off an answer');
      expect((await host.send({ ...post, placeholder: null })).status).toBe(401);
    });
  }
}

test('an upstream that breaks off while the body of an error is passed breaks that off as well', async () => {
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(500).write('{"type":', () => outgoing.socket?.destroy());
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  await expect(host.send(post)).rejects.toThrow('aborted');
});

const unreachable: [string, string, () => Promise<Place>][] = [
  ['that nobody listens at', 'ECONNREFUSED', startNobody],
  ['whose name nobody knows', 'ENOTFOUND', async () => placeOf('http://no-such.invalid')],
  ['that closes every connection', 'ECONNRESET', () => startPlain('http', (socket) => socket.destroy())],
  ['that does not speak HTTP', 'HPE_', () => startPlain('http', (socket) => socket.end('220 smtp ready\r\n'))],
  ['that does not speak TLS', 'EPROTO', () => startPlain('https', (socket) => socket.end('220 smtp ready\r\n'))],
  ['that wants another protocol', 'closed without', () => startPlain('http', (socket) => socket.end(switching))],
];

for (const [what, code, start] of unreachable) {
  test(`an upstream ${what} is a connection that breaks, and the log says why`, async () => {
    await using upstream = await start();
    await using host = await startTestGateway({ upstream: upstream.url });

    await expect(host.send(post)).rejects.toThrow('socket hang up');

    expect(host.log).toHaveLength(1);
    expect(host.log[0]).toContain('the model API cannot be reached');
    expect(host.log[0]).toContain(code);
  });
}

test('connections to the upstream are kept and used again', async () => {
  await using upstream = await startUpstream((_, outgoing) => outgoing.end('{}'));
  await using host = await startTestGateway({ upstream: upstream.url });

  for (let turn = 0; turn < 3; turn += 1) await host.send(post);

  expect(upstream.sockets).toHaveLength(1);
});

test('a request that meets a kept connection just closed is sent once more, on a new one, with its body', async () => {
  const together: ServerResponse[] = [];
  await using upstream = await startUpstream((_, outgoing, index) => {
    // The third request finds its connection open and is never answered on it: what a close at the same moment does.
    if (index === 2) outgoing.socket?.resetAndDestroy();
    else if (index === 3) outgoing.end('{}');
    else if (together.push(outgoing) === 2) for (const waiting of together) waiting.end('{}');
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  await Promise.all([host.send(post), host.send(post)]);
  expect(upstream.sockets).toHaveLength(2);

  const answer = await host.send({ ...post, body: '{"turn":2}' });

  expect(answer.status).toBe(200);
  expect(upstream.requests.slice(2).map((request) => request.body)).toEqual(['{"turn":2}', '{"turn":2}']);
  // The other kept one is as likely to be dead.
  expect(upstream.sockets).toHaveLength(3);
  expect(host.log).toEqual([]);
});

test('it is sent once more, and not again', async () => {
  await using upstream = await startUpstream((_, outgoing, index) => {
    if (index === 0) outgoing.end('{}');
    else outgoing.socket?.resetAndDestroy();
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  await host.send(post);

  await expect(host.send(post)).rejects.toThrow('socket hang up');
  expect(upstream.requests).toHaveLength(3);
});

test('a request that breaks on a new connection, or after its answer has begun, is not sent again', async () => {
  await using upstream = await startUpstream((_, outgoing, index) => {
    if (index === 1) outgoing.end('{}');
    else if (index === 2) outgoing.write('data: 1\n\n', () => outgoing.socket?.resetAndDestroy());
    else outgoing.socket?.resetAndDestroy();
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  await expect(host.send(post)).rejects.toThrow('socket hang up');
  expect((await host.send(post)).status).toBe(200);
  await expect(host.send(post)).rejects.toThrow('aborted');
  expect(upstream.requests).toHaveLength(3);
});

test('a connection that was idle for long by the wall clock is not used again', async () => {
  await using upstream = await startUpstream((_, outgoing) => outgoing.end('{}'));
  let nowMs = 0;
  const direct = createUpstream({
    baseUrl: upstream.url,
    proxyEnv: {},
    log: pino({ level: 'silent' }),
    nowMs: () => nowMs,
  });
  const ask = async () => {
    const { signal } = new AbortController();
    const asked = { method: 'POST', target: '/v1/messages', headers: {}, body: Buffer.from('{}'), signal };
    const answer = await direct.ask(asked);
    await readText(answer);
    if (!answer.closed) await once(answer, 'close');
  };

  await ask();
  nowMs += 40_000;
  await ask();
  expect(upstream.sockets).toHaveLength(1);
  nowMs += 60_000;
  await ask();
  expect(upstream.sockets).toHaveLength(2);
  direct.stop();
});

test('a gateway that is frozen in the middle of an answer goes on where it was, on connections old and new', async () => {
  const answering = Promise.withResolvers<ServerResponse>();
  await using upstream = await startUpstream((_, outgoing, index) => {
    if (index > 0) return void outgoing.end('{"thawed":true}');
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    outgoing.write('data: 1\n\n');
    answering.resolve(outgoing);
  });
  const { child, send } = await startChild(upstream.url);
  const answer = await send();
  const chunks = answer.iterator();
  expect(String((await chunks.next()).value)).toBe('data: 1\n\n');

  child.kill('SIGSTOP');
  await until('the gateway is frozen', () => stateOf(child) === 'T');
  const outgoing = await answering.promise;
  await new Promise<void>((resolve) => outgoing.end('data: 2\n\n', resolve));
  // What is kept of connections dies while nobody can notice.
  for (const socket of upstream.sockets) socket.end();
  child.kill('SIGCONT');

  expect(String((await chunks.next()).value)).toBe('data: 2\n\n');
  expect(await chunks.next()).toMatchObject({ done: true });
  expect(await readText(await send())).toBe('{"thawed":true}');
  child.kill('SIGKILL');
  await once(child, 'exit');
});

const switching = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n';

/** A request up to its length. */
function headOf({ pass }: TestGateway): string {
  return `POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: ${pass.placeholder}\r\n`;
}

type Place = AsyncDisposable & { url: string };

function placeOf(url: string, close: () => Promise<void> = async () => undefined): Place {
  return { url, [Symbol.asyncDispose]: close };
}

async function startNobody(): Promise<Place> {
  await using place = await startPlain('http', () => undefined);
  return placeOf(place.url);
}

/** Something that is not an HTTP server. */
async function startPlain(protocol: 'http' | 'https', onConnection: (socket: Socket) => void): Promise<Place> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  const port = await listenOnLoopback(server);
  return placeOf(`${protocol}://127.0.0.1:${port}`, async () => void server.close());
}

const gatewayModule = join(import.meta.dirname, '../../src/agent/gateway.ts');
const program = `
  import { startGateway } from ${JSON.stringify(gatewayModule)};
  const log = { warn: () => undefined, error: () => undefined };
  const credential = { kind: 'api_key', value: 'real' };
  const gateway = await startGateway({ credential, upstream: process.argv[1], proxyEnv: {}, log });
  console.log(JSON.stringify({ url: gateway.url, placeholder: gateway.admit().placeholder }));
`;

/** A gateway in a process of its own, to be frozen. */
async function startChild(upstream: string): Promise<{ child: ChildProcess; send: () => Promise<IncomingMessage> }> {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, upstream], { stdio: [...stdio] });
  const [line] = await once(child.stdout ?? child, 'data');
  const { url, placeholder } = z.object({ url: z.string(), placeholder: z.string() }).parse(JSON.parse(String(line)));
  const send = async () => {
    const sending = request(`${url}/v1/messages`, {
      method: 'POST',
      headers: { 'x-api-key': placeholder },
      agent: false,
    });
    sending.end('{}');
    const [answer] = await once(sending, 'response');
    return answer;
  };
  return { child, send };
}

function stateOf({ pid }: ChildProcess): string | undefined {
  return /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1];
}
