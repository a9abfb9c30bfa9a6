import { once } from 'node:events';
import { text as readText } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { listen } from '../../src/http/server.ts';
import { startApp } from '../support/http-app.ts';
import { parseObject } from '../support/http-instance.ts';
import { connectionClosed, openRequest, openSocket, sendRaw, serve } from '../support/http-socket.ts';

const chatInit = (body: object, headers: Record<string, string> = {}): RequestInit => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

describe('over a socket', () => {
  it('a message is answered as in process', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const response = await server.fetch('/chat', chatInit({ message: 'x' }, { 'x-request-id': 'mine' }));
    expect(response.status).toBe(200);
    expect(response.headers.get('x-request-id')).toBe('mine');
    expect(response.headers.get('x-build-version')).toBe('2.0.0-test');
    expect(await response.json()).toMatchObject({ status: 'success', result: 'Hello.' });
  });

  it('a connection is kept for longer than a load balancer keeps it', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const socket = await openSocket(server);
    socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
    const [head] = await once(socket, 'data');
    expect(String(head)).toMatch(/\r\nKeep-Alive: timeout=75\r\n/i);
    socket.destroy();
  });

  it('a body without a content type is JSON', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const { request, response } = openRequest(server, { path: '/chat' });
    request.end('{"message":"x"}');
    expect((await response).statusCode).toBe(200);
  });

  it('a stream is framed, and each frame comes as it happens', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const response = await server.fetch('/chat', chatInit({ message: 'x', stream: true }));
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'transfer-encoding': 'chunked',
      'x-request-id': expect.stringMatching(/^req-/),
    });
    const reader = (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
    let received = '';
    const until = async (end: RegExp) => {
      while (!end.test(received)) {
        const { done, value } = await reader.read();
        if (done) return;
        received += value;
      }
    };
    await until(/\n\n$/);
    expect(received).toMatch(/^id: 1\nevent: start\ndata: \{"conversation_id":"conv-[^\n]*\}\n\n$/);
    await hold.reached;
    hold.emit({ type: 'text', text: 'a' });
    await until(/"a"\}\n\n$/);
    hold.release();
    await until(/event: done\ndata: [^\n]*\n\n$/);
    expect(received).toMatch(/\n\nid: 2\nevent: chunk\ndata: \{"text":"a"\}\n\nid: 3\nevent: done\n/);
    expect((await reader.read()).done).toBe(true);
  });

  it('a problem before the stream is a plain one', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const response = await server.fetch(
      '/chat',
      chatInit({ message: 'x', conversation_id: 'conv-nope', stream: true }),
    );
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  });
});

describe('a client that goes away', () => {
  it.each([false, true])('does not stop the run, whose answer is stored (stream: %s)', async (stream) => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const client = new AbortController();
    const answer = server
      .fetch('/chat', {
        ...chatInit({ message: 'x', stream }, { 'x-request-id': 'gone' }),
        signal: client.signal,
      })
      .then((response) => response.text());
    answer.catch(() => undefined);
    const { conversationId, signal } = await hold.reached;
    if (stream) {
      client.abort();
      expect(await app.requestLine('gone')).toMatchObject({ client_gone: true, conversation_id: conversationId });
      expect(signal.aborted).toBe(false);
      hold.release({ events: [{ type: 'text', text: 'Nobody hears this.' }] });
    } else {
      client.abort();
      await expect(answer).rejects.toThrow();
      hold.release({ events: [{ type: 'text', text: 'Nobody hears this.' }] });
      expect(await app.requestLine('gone')).toMatchObject({ conversation_id: conversationId, run_status: 'success' });
    }
    await app.runs.stop({ graceMs: 60_000 });
    const messages = await app.send(`/chat/${conversationId}/messages`);
    expect(messages.body.messages).toMatchObject([{}, { content: 'Nobody hears this.' }]);
  });

  it('is logged as such, when the answer was to be JSON', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const seen = connectionClosed('gone');
    const { request, response } = openRequest(server, { path: '/chat', headers: { 'x-request-id': 'gone' } });
    response.catch(() => undefined);
    request.end('{"message":"x"}');
    await hold.reached;
    request.destroy();
    await seen;
    hold.release();
    expect(await app.requestLine('gone')).toMatchObject({ client_gone: true, run_status: 'success' });
  });

  it('in the middle of its body is no error of the server', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const socket = await openSocket(server);
    socket.write(
      'POST /chat HTTP/1.1\r\nHost: x\r\nX-Request-ID: half\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"mess',
    );
    // The server has begun to read when it has answered a request that came later.
    await server.fetch('/health');
    socket.destroy();
    expect(await app.requestLine('half')).toMatchObject({ client_gone: true });
    expect(app.logs().filter((line) => line.level === 'error')).toEqual([]);
    expect(app.rows()).toMatchObject({ messages: 0 });
  });
});

describe('a body of more than 1 MB', () => {
  it('is a 413 when it comes in chunks', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const { request, response } = openRequest(server, { path: '/chat' });
    request.write('{"message":"');
    for (let n = 0; n < 17; n++) request.write('x'.repeat(65_536));
    const answer = await response;
    expect(answer.statusCode).toBe(413);
    expect(parseObject(await readText(answer))).toMatchObject({ code: 'body_too_large' });
    request.destroy();
  });

  it('is a 413 when it declares its length, and the connection can be used again', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const response = await server.fetch('/chat', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.alloc(1_048_577, 0x20),
    });
    expect(response.status).toBe(413);
    await response.text();
    expect((await server.fetch('/health')).status).toBe(200);
  });
});

describe('what is not HTTP', () => {
  it.each([
    ['noise', 'GARBAGE\r\n\r\n'],
    ['a TLS handshake', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc'],
    ['a wrong version', 'GET /health HTTP/9.9\r\n\r\n'],
    ['a broken header', 'GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n'],
    ['two lengths', 'POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx'],
    [
      'a length and chunks',
      'POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['headers without end', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(40_000)}\r\n\r\n`],
    ['no host', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'],
    ['an invalid host', 'GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['CONNECT, which only a proxy knows', 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'],
    ['a backslash in the path', 'GET /chat\\..\\x HTTP/1.1\r\nHost: x:80:80\r\nConnection: close\r\n\r\n'],
  ])('(%s) is a 400 problem with the headers of every response, and hurts nobody else', async (_, text) => {
    await using app = await startApp();
    await using server = await serve(app);
    const received = await sendRaw(server, text);
    const [head = '', body = ''] = received.split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 400 /);
    const headers = Object.fromEntries(
      head
        .split('\r\n')
        .slice(1)
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
    );
    expect(headers).toMatchObject({
      'content-type': 'application/problem+json',
      'x-request-id': expect.stringMatching(/^req-/),
      'x-build-version': '2.0.0-test',
      'x-build-commit': 'abc1234',
    });
    expect(parseObject(body)).toMatchObject({ code: 'invalid_request', request_id: headers['x-request-id'] });
    expect(await app.requestLine(String(headers['x-request-id']))).toMatchObject({ status: 400 });
    expect((await server.fetch('/health')).status).toBe(200);
  });

  it('and a client that resets its connection right after a CONNECT harms nobody', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    for (let time = 0; time < 300; time += 1) {
      const socket = await openSocket(server);
      socket.write('CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n', () => socket.resetAndDestroy());
      await once(socket, 'close');
    }
    expect((await server.fetch('/health')).status).toBe(200);
  });

  it('ends a connection that is being answered without a word into the answer', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const socket = await openSocket(server);
    let received = '';
    socket.setEncoding('utf8').on('data', (data) => {
      received += String(data);
    });
    const body = '{"message":"x","stream":true}';
    socket.write(`POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await hold.reached;
    await once(socket, 'data');
    socket.write('GARBAGE\r\n\r\n');
    await once(socket, 'close');
    expect(received.match(/HTTP\/1\.1/g)).toHaveLength(1);
    hold.release();
  });

  it('is not HTTP/1.0 without a Host, as load balancers send it', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    expect(await sendRaw(server, 'GET /health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('with an expectation that nobody knows is served all the same', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const received = await sendRaw(
      server,
      'GET /health HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nConnection: close\r\n\r\n',
    );
    expect(received).toMatch(/^HTTP\/1\.1 200 /);
    expect(received.toLowerCase()).toContain('x-request-id: req-');
  });
});

describe('listen', () => {
  it('rejects when the port is in use', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    await expect(listen(app.lazyApp, { host: '127.0.0.1', port: server.port })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect((await server.fetch('/health')).status).toBe(200);
  });
});

describe('close', () => {
  it('lets a stream under way end, takes no new connection, and can be called again', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const response = await server.fetch('/chat', chatInit({ message: 'x', stream: true }));
    await hold.reached;
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    expect(server.close()).toBe(server.close());
    await expect(server.fetch('/health')).rejects.toThrow();
    expect(closed).toBe(false);
    hold.release();
    expect(await response.text()).toMatch(/event: done\n/);
    await closing;
  });

  it('cuts at once who has said nothing, or only half a request, while others are answered', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const answer = server.fetch('/chat', chatInit({ message: 'x' }));
    const [silent, half] = [await openSocket(server), await openSocket(server)];
    half.write('GET /health HT');
    await hold.reached;
    const cut = Promise.all([once(silent, 'close'), once(half, 'close')]);
    const closing = server.close();
    await cut;
    hold.release();
    expect((await answer).status).toBe(200);
    await closing;
  });

  it('does not wait for a client that does not read', async () => {
    await using app = await startApp();
    const server = await serve(app);
    const deaf = await openSocket(server);
    deaf.pause();
    const events = Array.from({ length: 200 }, () => ({ type: 'text', text: 'x'.repeat(100_000) }) as const);
    const hold = app.agent.hold();
    const body = '{"message":"x","stream":true}';
    deaf.write(`POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await hold.reached;
    hold.release({ events });
    await app.runs.stop({ graceMs: 60_000 });
    const closed = server.close();
    server.cut();
    await closed;
    deaf.destroy();
  });

  it('closes idle connections at once, and busy ones as they become idle', async () => {
    await using app = await startApp();
    await using server = await serve(app);
    const hold = app.agent.hold();
    const [idle, busy] = [await openSocket(server), await openSocket(server)];
    const ends = Promise.all([once(idle, 'close'), once(busy, 'close')]);
    idle.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(idle, 'data');
    const body = '{"message":"x"}';
    let answer = '';
    busy.setEncoding('utf8').on('data', (data) => {
      answer += String(data);
    });
    busy.write(`POST /chat HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await hold.reached;
    const closing = server.close();
    hold.release();
    await Promise.all([ends, closing]);
    expect(answer).toContain('"status":"success"');
  });
});
