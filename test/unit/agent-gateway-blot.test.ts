/** No credential in what the model gateway passes back, and none in its log. */

import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { blotText, createBlotter } from '../../src/agent/gateway/blot.ts';
import { startTestGateway, startUpstream, testKey } from '../support/gateway-upstream.ts';

const post = { path: '/v1/messages', body: '{}' };

test('a secret is blotted out wherever the stream is cut', async () => {
  const text = 'before aXaXb after, aXaXaXb, and aXaX at the end: aX';
  for (let first = 0; first <= text.length; first += 1) {
    for (let second = first; second <= text.length; second += 1) {
      const chunks = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      expect(await passed('aXaXb', chunks)).toBe(blotText(text, 'aXaXb'));
    }
  }
  expect(blotText(text, 'aXaXb')).toBe('before [credential] after, aX[credential], and aXaX at the end: aX');
});

test('a secret is blotted out of a stream that comes byte by byte', async () => {
  expect(await passed(testKey, [...`${testKey}${testKey.slice(0, 9)}${testKey}.`])).toBe(
    `[credential]${testKey.slice(0, 9)}[credential].`,
  );
});

test('what cannot be a part of the secret is not held back', () => {
  const blotter = createBlotter('secret');
  blotter.write('nothing of it, sec');
  expect(String(blotter.read())).toBe('nothing of it, ');
  blotter.write('ond');
  expect(String(blotter.read())).toBe('second');
});

for (const status of [400, 401, 429, 500, 529]) {
  test(`a ${status} that repeats the credential, in pieces, repeats it to nobody`, async () => {
    await using upstream = await startUpstream(({ headers }, outgoing) => {
      const key = String(headers['x-api-key']);
      const body = `{"type":"error","error":{"message":"invalid x-api-key ${key}"}}`;
      outgoing.writeHead(status, {
        'content-length': body.length,
        'x-echo': `Bearer ${key}`,
        'content-type': 'application/json',
      });
      const cut = body.indexOf(key) + 11;
      outgoing.write(body.slice(0, cut), () => outgoing.end(body.slice(cut)));
    });
    await using host = await startTestGateway({ upstream: upstream.url });

    const answer = await host.send(post);

    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.text)).toEqual({ type: 'error', error: { message: 'invalid x-api-key [credential]' } });
    expect(answer.headers['x-echo']).toBe('Bearer [credential]');
    expect(answer.headers).not.toHaveProperty('content-length');
    expect(JSON.stringify(host.log)).not.toContain('sk-ant');
  });
}

test('the headers of a good answer are searched as well, and its body is left alone', async () => {
  await using upstream = await startUpstream(({ headers }, outgoing) => {
    outgoing.writeHead(200, { 'x-echo': String(headers['x-api-key']), 'content-length': 2 }).end('{}');
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.send(post);

  expect(answer).toMatchObject({ text: '{}', headers: { 'x-echo': '[credential]', 'content-length': '2' } });
});

test('an error that comes compressed is not passed on, since it cannot be searched; its status and headers are', async () => {
  await using upstream = await startUpstream(({ headers }, outgoing) => {
    const body = gzipSync(`{"error":{"message":"invalid ${headers['x-api-key']}"}}`);
    outgoing
      .writeHead(429, { 'content-encoding': 'gzip', 'content-length': body.length, 'retry-after': '3' })
      .end(body);
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.send(post);

  expect(answer).toMatchObject({ status: 429, headers: { 'retry-after': '3' } });
  expect(answer.headers).not.toHaveProperty('content-encoding');
  expect(JSON.parse(answer.text)).toMatchObject({ type: 'error', error: { type: 'api_error' } });
});

test('what cannot be reached is logged without the credential, the placeholder and the password of a proxy', async () => {
  await using upstream = await startUpstream((_, outgoing) => void outgoing.socket?.destroy());
  const proxy = upstream.url.replace('http://', 'http://user:hunter2@');
  for (const target of [upstream.url, 'http://model.test', 'https://model.test']) {
    await using host = await startTestGateway({
      upstream: target,
      proxyEnv: { http_proxy: proxy, https_proxy: proxy },
    });
    await expect(host.send(post)).rejects.toThrow('socket hang up');
    expect(host.log).toHaveLength(1);
    expect(host.log[0]).not.toMatch(/sk-ant|hunter2/);
  }
});

async function passed(secret: string, chunks: string[]): Promise<string> {
  const blotter = createBlotter(secret);
  for (const chunk of chunks) blotter.write(chunk);
  blotter.end();
  let text = '';
  for await (const chunk of blotter) text += String(chunk);
  return text;
}
