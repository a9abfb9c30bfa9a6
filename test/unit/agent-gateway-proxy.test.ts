/** How the model gateway reaches an upstream that is behind a proxy, and one that speaks TLS. */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { decideProxy } from '../../src/agent/gateway/proxy.ts';
import { listenOnLoopback, startTestGateway, startUpstream } from '../support/gateway-upstream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const post = { path: '/v1/messages?beta=true', body: '{}' };
const proxied = { kind: 'proxy', url: 'http://proxy.test:3128' };
const direct = { kind: 'direct' };

const choices: [string, Record<string, string>, object][] = [
  ['https://api.test', {}, direct],
  ['https://api.test', { HTTPS_PROXY: '' }, direct],
  ['https://api.test', { HTTPS_PROXY: proxied.url }, proxied],
  ['https://api.test', { https_proxy: proxied.url, HTTPS_PROXY: 'http://other.test' }, proxied],
  ['https://api.test', { HTTP_PROXY: proxied.url }, direct],
  ['http://api.test', { HTTP_PROXY: proxied.url }, proxied],
  ['http://api.test', { http_proxy: proxied.url }, proxied],
  ['http://api.test', { HTTPS_PROXY: proxied.url }, direct],
  ['https://api.test', { ALL_PROXY: proxied.url }, proxied],
  ['http://api.test', { all_proxy: proxied.url }, proxied],
  ['https://api.test', { ALL_PROXY: 'http://other.test', HTTPS_PROXY: proxied.url }, proxied],
  ['https://api.test', { HTTPS_PROXY: 'proxy.test:3128' }, proxied],
  ['https://api.test', { HTTPS_PROXY: 'https://proxy.test' }, { kind: 'proxy', url: 'https://proxy.test' }],
  ['https://api.test', { HTTPS_PROXY: 'HTTP://proxy.test:3128' }, proxied],
  ['https://api.test', { ALL_PROXY: 'socks5://proxy.test' }, { kind: 'unusable', variable: 'ALL_PROXY' }],
  ['https://api.test', { https_proxy: 'http://' }, { kind: 'unusable', variable: 'https_proxy' }],
];

for (const [target, env, choice] of choices) {
  test(`with ${JSON.stringify(env)}, the way to ${target} is ${JSON.stringify(choice)}`, () => {
    expect(decideProxy(new URL(target), env)).toEqual(choice);
  });
}

const exemptions: [string, string, object][] = [
  ['https://api.test', '*', direct],
  ['https://api.test', 'api.test', direct],
  ['https://api.test', ' other.test , API.TEST ', direct],
  ['https://llm.corp.test', 'corp.test', direct],
  ['https://llm.corp.test', '.corp.test', direct],
  ['https://llm.corp.test', '*.corp.test', direct],
  ['https://notcorp.test', 'corp.test', proxied],
  ['https://api.test.evil', 'api.test', proxied],
  ['https://api.test:8443', 'api.test', direct],
  ['https://api.test:8443', 'api.test:8443', direct],
  ['https://api.test', 'api.test:443', direct],
  ['https://api.test', 'api.test:8443', proxied],
  ['https://10.1.2.3', '10.0.0.0/8', direct],
  ['https://11.1.2.3', '10.0.0.0/8', proxied],
  ['https://10.1.2.3', '10.1.2.3', direct],
  ['https://10.1.2.3', '10.0.0.0/99,10.0.0.0/x,/8', proxied],
  ['https://[fd00::7]', 'fd00::/8', direct],
  ['https://[fd00::7]', '10.0.0.0/8', proxied],
  ['https://[fd00::7]', 'fd00::7', direct],
  ['https://[fd00::7]', '[fd00::7]', direct],
  ['https://[fd00::7]', '[fd00::7]:443', direct],
  ['https://[fd00::7]', '[fd00::7]:8443', proxied],
  ['https://api.test', '', proxied],
  ['https://api.test', ',,', proxied],
  ['https://localhost:4000', '', direct],
  ['https://127.0.0.2', '', direct],
  ['https://[::1]:4000', '', direct],
];

for (const [target, noProxy, choice] of exemptions) {
  test(`with NO_PROXY "${noProxy}", the way to ${target} is ${choice === direct ? 'direct' : 'the proxy'}`, () => {
    expect(decideProxy(new URL(target), { https_proxy: proxied.url, NO_PROXY: noProxy })).toEqual(choice);
  });
}

test('no_proxy wins over NO_PROXY', () => {
  const env = { https_proxy: proxied.url, no_proxy: 'a.test', NO_PROXY: 'b.test' };
  expect(decideProxy(new URL('https://a.test'), env)).toEqual(direct);
  expect(decideProxy(new URL('https://b.test'), env)).toEqual(proxied);
});

test('a proxy that is not an http(s) one is not used, and that is logged without its URL', async () => {
  await using upstream = await startUpstream((_, outgoing) => outgoing.end('{}'));
  const proxyEnv = { ALL_PROXY: 'socks5://user:hunter2@proxy.test' };

  await using elsewhere = await startTestGateway({ upstream: 'https://api.test', proxyEnv });
  await using here = await startTestGateway({ upstream: upstream.url, proxyEnv });

  expect(elsewhere.log.join('')).toContain('"variable":"ALL_PROXY"');
  expect(elsewhere.log.join('')).not.toContain('hunter2');
  expect(here.log).toEqual([]);
});

test('an http upstream is asked for by its whole address, with the proxy’s own credentials', async () => {
  await using proxy = await startUpstream((_, outgoing) => outgoing.end('{"by":"proxy"}'));
  const proxyEnv = { http_proxy: proxy.url.replace('//', '//user:word@') };
  await using host = await startTestGateway({ upstream: 'http://model.test/base', proxyEnv });

  for (let turn = 0; turn < 2; turn += 1) expect((await host.send(post)).text).toBe('{"by":"proxy"}');

  expect(proxy.requests[1]).toMatchObject({
    target: 'http://model.test/base/v1/messages?beta=true',
    headers: { host: 'model.test', 'proxy-authorization': `Basic ${btoa('user:word')}` },
  });
  expect(proxy.sockets).toHaveLength(1);
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

test.runIf(hasOpenssl)(
  'an https upstream is reached, and through a tunnel of the proxy, if its certificate is trusted',
  async () => {
    const { certificate, key } = makeCertificate();
    const asked: IncomingMessage['headers'][] = [];
    const model = createTlsServer({ cert: certificate, key }, (incoming, outgoing) => {
      asked.push(incoming.headers);
      incoming.resume().once('end', () => outgoing.end('{"by":"tls"}'));
    });
    const modelPort = await listenOnLoopback(model);
    const tunnels: string[] = [];
    const proxy = createServer().on('connect', (incoming: IncomingMessage, socket) => {
      tunnels.push(`${incoming.url} ${incoming.headers['proxy-authorization']}`);
      const through = connect(modelPort, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(through).pipe(socket);
      });
      for (const end of [socket, through]) end.on('error', () => end.destroy());
    });
    const proxyPort = await listenOnLoopback(proxy);
    const proxyEnv = { HTTPS_PROXY: `http://user:word@127.0.0.1:${proxyPort}`, NO_PROXY: 'elsewhere.test' };
    onTestFinished(() => void [model.close(), proxy.close()]);

    // Known to nobody: its name says nothing.
    {
      await using host = await startTestGateway({ upstream: `https://localhost:${modelPort}` });
      await expect(host.send(post)).rejects.toThrow('socket hang up');
      expect(host.log.join('')).toContain('SELF_SIGNED_CERT');
    }
    const trusted = getCACertificates('default');
    setDefaultCACertificates([...trusted, certificate]);
    onTestFinished(() => setDefaultCACertificates(trusted));
    {
      await using host = await startTestGateway({ upstream: `https://localhost:${modelPort}`, proxyEnv });
      expect((await host.send(post)).text).toBe('{"by":"tls"}');
      expect(tunnels).toEqual([]);
    }
    {
      await using host = await startTestGateway({ upstream: 'https://model.test', proxyEnv });
      for (let turn = 0; turn < 2; turn += 1) expect((await host.send(post)).text).toBe('{"by":"tls"}');
      // The connection through the tunnel is kept as any other.
      expect(tunnels).toEqual([`model.test:443 Basic ${btoa('user:word')}`]);
      expect(asked.at(-1)).toMatchObject({ host: 'model.test' });
      expect(asked.at(-1)).not.toHaveProperty('proxy-authorization');
    }
  },
);

test('a proxy that refuses the tunnel makes the upstream unreachable', async () => {
  const proxy = createServer().on('connect', (_, socket) =>
    socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
  );
  const proxyEnv = { https_proxy: `http://user:hunter2@127.0.0.1:${await listenOnLoopback(proxy)}` };
  onTestFinished(() => void proxy.close());
  await using host = await startTestGateway({ upstream: 'https://model.test', proxyEnv });

  await expect(host.send(post)).rejects.toThrow('socket hang up');

  expect(host.log).toHaveLength(1);
  expect(host.log[0]).toContain('407');
  expect(host.log[0]).not.toContain('hunter2');
});

/** Signed by itself; for localhost and model.test. */
function makeCertificate(): { certificate: string; key: string } {
  const folder = temporaryFolder();
  const [keyFile, file] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const names = 'subjectAltName=DNS:localhost,DNS:model.test';
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const args = ['req', '-x509', ...key, '-out', file, '-days', '2', '-subj', '/CN=test', '-addext', names];
  execFileSync('openssl', args, { stdio: 'ignore' });
  return { certificate: readFileSync(file, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}
