/** Who may pass the model gateway, to what, and with which headers. */

import { Agent } from 'node:http';
import { expect, test } from 'vitest';
import type { Credential } from '../../src/agent/environment.ts';
import { startTestGateway, startUpstream, type TestGateway, testKey } from '../support/gateway-upstream.ts';
import { until } from '../support/until.ts';

const ok = (_: unknown, outgoing: { end(text: string): void }) => outgoing.end('{"ok":true}');

const credentials: Credential[] = [
  { kind: 'api_key', value: testKey },
  { kind: 'oauth_token', value: 'sk-ant-oat01-the-real-token' },
];

for (const credential of credentials) {
  for (const shownAs of ['x-api-key', 'authorization'] as const) {
    test(`a placeholder shown as ${shownAs} gives way to the ${credential.kind}, and to nothing else`, async () => {
      await using upstream = await startUpstream(ok);
      await using host = await startTestGateway({ upstream: upstream.url, credential });
      const { placeholder } = host.pass;
      const headers = { [shownAs]: shownAs === 'authorization' ? `Bearer ${placeholder}` : placeholder };

      const answer = await host.send({ path: '/v1/messages', body: '{}', placeholder: null, headers });

      expect(answer).toMatchObject({ status: 200, text: '{"ok":true}' });
      const [received] = upstream.requests;
      expect(received?.headers['x-api-key']).toBe(credential.kind === 'api_key' ? credential.value : undefined);
      expect(received?.headers.authorization).toBe(
        credential.kind === 'oauth_token' ? `Bearer ${credential.value}` : undefined,
      );
      expect(JSON.stringify(received)).not.toContain(placeholder);
    });
  }
}

test('a placeholder looks like a key of its kind, and no two are alike', async () => {
  await using upstream = await startUpstream(ok);
  await using keyed = await startTestGateway({ upstream: upstream.url });
  await using bearing = await startTestGateway({
    upstream: upstream.url,
    credential: { kind: 'oauth_token', value: 'real' },
  });

  expect(keyed.pass.placeholder).toMatch(/^sk-ant-picoclaw-[\w-]{43}$/);
  expect(bearing.pass.placeholder).toMatch(/^sk-ant-oat01-picoclaw-[\w-]{43}$/);
  expect(keyed.gateway.admit().placeholder).not.toBe(keyed.pass.placeholder);
});

const strangers: [string, (host: TestGateway) => { placeholder: string | null; headers?: Record<string, string> }][] = [
  ['no placeholder', () => ({ placeholder: null })],
  ['an empty one', () => ({ placeholder: '' })],
  ['one of another making', () => ({ placeholder: `sk-ant-picoclaw-${'A'.repeat(43)}` })],
  ['a part of one', (host) => ({ placeholder: host.pass.placeholder.slice(0, -1) })],
  ['the real key', () => ({ placeholder: testKey })],
  ['one that is not a bearer', (host) => ({ placeholder: null, headers: { authorization: host.pass.placeholder } })],
  [
    'one that was revoked',
    (host) => {
      const gone = host.gateway.admit();
      gone.revoke();
      gone.revoke();
      return { placeholder: gone.placeholder };
    },
  ],
];

for (const [what, makeShown] of strangers) {
  test(`whoever shows ${what} is refused with 401, and the upstream hears nothing of it`, async () => {
    await using upstream = await startUpstream(ok);
    await using host = await startTestGateway({ upstream: upstream.url });
    const shown = makeShown(host);

    const answer = await host.send({ path: '/v1/messages', body: '{}', ...shown });

    expect(answer.status).toBe(401);
    expect(JSON.parse(answer.text)).toEqual({
      type: 'error',
      error: { type: 'authentication_error', message: expect.stringContaining('placeholder') },
    });
    expect(answer.headers['x-should-retry']).toBe('false');
    expect(answer.text).not.toContain('sk-ant');
    expect(host.log.join('')).not.toContain('sk-ant');
    expect(upstream.requests).toEqual([]);
  });
}

test('the pass of one process is not touched by the end of another’s', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  host.gateway.admit().revoke();

  expect((await host.send({ path: '/v1/messages', body: '{}' })).status).toBe(200);
});

const passing = [
  ['POST', '/v1/messages'],
  ['POST', '/v1/messages?beta=true'],
  ['POST', '/v1/messages?a=/../b&c=%2e%2F//?'],
  ['POST', '/v1/messages/count_tokens?beta=true'],
  ['GET', '/v1/models'],
  ['GET', '/v1/models?limit=5'],
  ['GET', '/v1/models/claude-opus-5-5'],
  ['GET', '/v1/models/claude-haiku-4-5@20251001'],
] as const;

for (const [method, path] of passing) {
  test(`${method} ${path} is passed on as it is`, async () => {
    await using upstream = await startUpstream(ok);
    await using host = await startTestGateway({ upstream: upstream.url });
    const body = method === 'POST' ? '{"model":"m"}' : '';

    const answer = await host.send({ method, path, ...(method === 'POST' ? { body } : {}) });

    expect(answer).toMatchObject({ status: 200, text: '{"ok":true}' });
    expect(upstream.requests).toMatchObject([{ method, target: path, body }]);
  });
}

const refused = [
  ['GET', '/', 404],
  ['GET', '', 404],
  ['OPTIONS', '*', 404],
  ['POST', '/v1/messages/', 404],
  ['POST', '//v1/messages', 404],
  ['POST', '/v1//messages', 404],
  ['POST', '/v1/./messages', 404],
  ['POST', '/v1/models/../messages', 404],
  ['POST', '/V1/messages', 404],
  ['POST', '/v1/%6dessages', 404],
  ['POST', '/v1/messages%2f', 404],
  ['POST', '/v1/messages%3Fbeta', 404],
  ['POST', '/v1/messages;a', 404],
  ['POST', '/v1/messages#a', 404],
  ['POST', '/v1/messages?a#b', 404],
  ['POST', '/v1/messages/batches', 404],
  ['POST', '/v1/files', 404],
  ['GET', '/v1/models/', 404],
  ['GET', '/v1/models/..', 404],
  ['GET', '/v1/models/%2e%2e', 404],
  ['GET', '/v1/models/a/b', 404],
  ['GET', '/v1/models/.%2e/messages', 404],
  ['GET', 'http://evil.test/v1/models', 404],
  ['POST', 'http://127.0.0.1/v1/messages', 404],
  ['POST', 'https://api.anthropic.com/v1/messages', 404],
  ['GET', '/v1/messages', 405],
  ['HEAD', '/v1/messages', 405],
  ['DELETE', '/v1/messages', 405],
  ['PUT', '/v1/messages?beta=true', 405],
  ['OPTIONS', '/v1/messages', 405],
  ['POST', '/v1/models', 405],
  ['HEAD', '/v1/models', 405],
  ['GET', '/v1/messages/count_tokens', 405],
] as const;

for (const [method, target, status] of refused) {
  test(`${method} ${target || '(nothing)'} is refused with ${status}, whoever asks`, async () => {
    await using upstream = await startUpstream(ok);
    await using host = await startTestGateway({ upstream: upstream.url });
    const { placeholder } = host.pass;
    const lines = [
      `${method} ${target} HTTP/1.1`,
      'Host: api.anthropic.com',
      `X-Api-Key: ${placeholder}`,
      'Connection: close',
    ];

    const answer = await host.sendRaw(`${lines.join('\r\n')}\r\n\r\n`);

    // A request line without a target is not HTTP: node says so.
    if (target === '') expect(answer).toMatch(/^HTTP\/1.1 400 /);
    else expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    if (status === 405) expect(answer).toMatch(/\r\nallow: (GET|POST)\r\n/i);
    if (target !== '' && method !== 'HEAD') expect(answer).toContain('{"type":"error","error":{"type":');
    if (method === 'HEAD') expect(answer).toMatch(/\r\n\r\n$/);
    expect(upstream.requests).toEqual([]);
  });
}

test('a target that is not ASCII is not found', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.sendRaw(
    `POST /v1/messages?é HTTP/1.1\r\nHost: a\r\nX-Api-Key: ${host.pass.placeholder}\r\nConnection: close\r\n\r\n`,
  );

  expect(answer).toMatch(/^HTTP\/1.1 40[04] /);
  expect(upstream.requests).toEqual([]);
});

test('a tunnel is refused, and the gateway lives on', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  const key = `X-Api-Key: ${host.pass.placeholder}`;

  const answer = await host.sendRaw(
    `CONNECT api.anthropic.com:443 HTTP/1.1\r\nHost: api.anthropic.com\r\n${key}\r\n\r\n`,
  );

  expect(answer).toMatch(/^HTTP\/1.1 405 /);
  expect(answer).toContain('"type":"invalid_request_error"');
  expect((await host.send({ path: '/v1/messages', body: '{}' })).status).toBe(200);
});

test('an upgrade is refused', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  const headers = { connection: 'upgrade', upgrade: 'websocket' };

  const answer = await host.send({ method: 'GET', path: '/v1/models', headers });

  expect(answer.status).toBe(405);
  expect(upstream.requests).toEqual([]);
});

for (const prefix of ['', '/', '/anthropic', '/anthropic/', '/a/b/']) {
  test(`an upstream at "${prefix}" gets its requests below that path`, async () => {
    await using upstream = await startUpstream(ok);
    await using host = await startTestGateway({ upstream: `${upstream.url}${prefix}` });

    await host.send({ path: '/v1/messages?beta=true', body: '{}' });

    expect(upstream.requests[0]?.target).toBe(`${prefix.replace(/\/$/, '')}/v1/messages?beta=true`);
    expect(upstream.requests[0]?.headers.host).toBe(`127.0.0.1:${upstream.port}`);
  });
}

const badUpstreams = ['api.anthropic.com', 'ftp://host', 'https://user:hunter2@host', 'https://host/?key=hunter2'];

for (const upstream of badUpstreams) {
  test(`an upstream like ${upstream} stops the start, without being repeated`, async () => {
    const starting = startTestGateway({ upstream });

    await expect(starting).rejects.toThrow('the address of the model API');
    await expect(starting).rejects.not.toThrow('hunter2');
  });
}

for (const value of ['', 'two words', 'line\nbreak']) {
  test(`a credential like ${JSON.stringify(value)} stops the start`, async () => {
    const starting = startTestGateway({ upstream: 'http://127.0.0.1:1', credential: { kind: 'api_key', value } });

    await expect(starting).rejects.toThrow('the credential');
  });
}

test('the headers of a request pass, less those of its connection and those with the placeholder', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  const { placeholder } = host.pass;

  await host.send({
    path: '/v1/messages',
    body: '{"a":1}',
    headers: {
      'anthropic-beta': ['one', 'two'],
      'anthropic-version': '2023-06-01',
      'user-agent': 'claude-cli/1',
      'x-stainless-retry-count': '0',
      'accept-encoding': 'gzip, br',
      connection: 'keep-alive, X-Of-The-Connection',
      'x-of-the-connection': 'mine',
      'keep-alive': 'timeout=5',
      'proxy-authorization': 'Basic abc',
      te: 'trailers',
      'x-copy': `key ${placeholder}.`,
      cookie: `k=${placeholder}`,
      authorization: 'Bearer something-else',
    },
  });

  expect(upstream.requests[0]?.headers).toEqual({
    'anthropic-beta': 'one, two',
    'anthropic-version': '2023-06-01',
    'user-agent': 'claude-cli/1',
    'x-stainless-retry-count': '0',
    'accept-encoding': 'identity',
    'x-api-key': testKey,
    host: `127.0.0.1:${upstream.port}`,
    'content-length': '7',
    connection: 'keep-alive',
  });
});

test('the credential cannot be dropped as a header of the connection', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });

  await host.send({ path: '/v1/messages', body: '{}', headers: { connection: 'x-api-key, content-length, host' } });

  expect(upstream.requests[0]?.headers).toMatchObject({ 'x-api-key': testKey, 'content-length': '2' });
});

test('a body that comes in chunks is sent with its length', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });

  await host.send({ path: '/v1/messages', body: '{"b":2}', headers: { 'transfer-encoding': 'chunked' } });

  expect(upstream.requests[0]).toMatchObject({ body: '{"b":2}', headers: { 'content-length': '7' } });
  expect(upstream.requests[0]?.headers).not.toHaveProperty('transfer-encoding');
});

test('the body of a GET is a body, and no request of its own on the connection that the next one has', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  const other = host.gateway.admit();
  const body = 'POST /v1/organizations HTTP/1.1\r\nHost: x\r\nX-Swallows: ';

  await host.send({ method: 'GET', path: '/v1/models', body, headers: { 'content-length': String(body.length) } });
  await host.send({ path: '/v1/messages', body: '{}', placeholder: other.placeholder });

  expect(upstream.requests).toMatchObject([
    { method: 'GET', target: '/v1/models', body },
    { method: 'POST', target: '/v1/messages', body: '{}' },
  ]);
  expect(upstream.sockets).toHaveLength(1);
});

test('status, headers and body of an answer pass as they are, less the headers of its connection', async () => {
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.sendDate = false;
    outgoing.writeHead(429, [
      ...['Retry-After', '7', 'x-should-retry', 'true', 'Request-Id', 'req_1'],
      ...['anthropic-ratelimit-requests-remaining', '0', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'],
      ...['Connection', 'keep-alive, X-Hop', 'X-Hop', 'mine', 'Proxy-Authenticate', 'Basic'],
    ]);
    outgoing.end('{"type":"error"}');
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.send({ path: '/v1/messages', body: '{}' });

  expect(answer).toMatchObject({ status: 429, text: '{"type":"error"}' });
  expect(answer.rawHeaders).toEqual([
    ...['Retry-After', '7', 'x-should-retry', 'true', 'Request-Id', 'req_1'],
    ...['anthropic-ratelimit-requests-remaining', '0', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'],
    ...['Connection', 'close', 'Transfer-Encoding', 'chunked'],
  ]);
});

test('a redirect of the upstream is passed on, and not followed', async () => {
  await using upstream = await startUpstream((_, outgoing) =>
    outgoing.writeHead(307, { location: 'https://elsewhere.test/' }).end(),
  );
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.send({ path: '/v1/messages', body: '{}' });

  expect(answer).toMatchObject({ status: 307, headers: { location: 'https://elsewhere.test/' } });
  expect(upstream.requests).toHaveLength(1);
});

test('a request larger than any the API takes is refused as the API would, and its connection is of use again', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  using agent = keptConnection();

  const large = await host.send({ path: '/v1/messages', agent, body: Buffer.alloc(50_000_000, ' ') });
  const small = await host.send({ path: '/v1/messages', agent, body: '{}' });

  expect(large.status).toBe(413);
  expect(JSON.parse(large.text)).toMatchObject({ error: { type: 'request_too_large' } });
  expect(small.status).toBe(200);
  expect(upstream.requests).toHaveLength(1);
});

test('of what one process has under way there is a bound, which is its own, and ends with the answers', async () => {
  const waiting: (() => void)[] = [];
  await using upstream = await startUpstream((request, outgoing, index) => {
    if (index < 3) waiting.push(() => ok(request, outgoing));
    else ok(request, outgoing);
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  const body = Buffer.alloc(39_000_000, ' ');
  const large = Array.from({ length: 3 }, () => host.send({ path: '/v1/messages', body }));
  await until('the upstream has three', () => waiting.length === 3);

  const refused = await host.send({ path: '/v1/messages', body });
  const other = await host.send({ path: '/v1/messages', placeholder: host.gateway.admit().placeholder, body: '{}' });

  expect(refused).toMatchObject({ status: 429, text: expect.stringContaining('rate_limit_error') });
  expect(refused.headers).not.toHaveProperty('x-should-retry');
  expect(other.status).toBe(200);
  for (const answer of waiting) answer();
  expect((await Promise.all(large)).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect((await host.send({ path: '/v1/messages', body })).status).toBe(200);
});

test('a request that is refused leaves its connection of use', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });
  using agent = keptConnection();
  const body = Buffer.alloc(1_000_000, ' ');

  const answers = [
    await host.send({ path: '/v1/files', agent, body }),
    await host.send({ path: '/v1/messages', agent, body, placeholder: null }),
    await host.send({ path: '/v1/messages', agent, body }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([404, 401, 200]);
});

test('a gateway that has stopped lets nobody in, and stopping it again is nothing', async () => {
  await using upstream = await startUpstream(ok);
  await using host = await startTestGateway({ upstream: upstream.url });

  await Promise.all([host.gateway.stop(), host.gateway.stop()]);

  expect(() => host.gateway.admit()).toThrow('stopped');
  await expect(host.send({ path: '/v1/messages', body: '{}' })).rejects.toThrow('ECONNREFUSED');
});

/** One connection, used again and again. */
function keptConnection(): Agent & Disposable {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return Object.assign(agent, { [Symbol.dispose]: () => agent.destroy() });
}
