/** s.yaml against the members of its component, and the function that the timer starts against a server. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readRecipe, recipeText } from './recipe.ts';

describe('s.yaml', () => {
  const { server, check } = readRecipe().resources;

  it('runs one instance, on a volume below /mnt, as the user of the image', () => {
    expect(server.props.concurrencyConfig.reservedConcurrency).toBe(1);
    expect(server.props.nasConfig).toMatchObject({
      userId: 1000,
      groupId: 1000,
      mountPoints: [{ mountDir: '/mnt/picoclaw' }],
    });
  });

  it('has its timer call a function, which waits as long as the server may take and is not tried again', () => {
    expect(server.props.triggers.map(({ triggerType }) => triggerType)).toEqual(['http']);
    expect(check.props.triggers.map(({ triggerType }) => triggerType)).toEqual(['timer']);
    expect(check.props.timeout).toBe(server.props.timeout);
    expect(check.props.asyncInvokeConfig.maxAsyncRetryAttempts).toBe(0);
  });

  it('asks for what the example of an environment has, and for nothing else', () => {
    const asked = [...recipeText.matchAll(/\$\{env\('(\w+)'/g)].map((match) => match[1]);
    const example = readFileSync(new URL('deploy.env.example', import.meta.url), 'utf8');
    const given = [...example.matchAll(/^(\w+)=/gm)].map((match) => match[1]);
    expect([...new Set(asked)].sort()).toEqual(given.sort());
  });
});

describe('the function that the timer starts', () => {
  afterEach(() => vi.unstubAllEnvs());

  async function call(answer: RequestListener) {
    const server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      vi.stubEnv('PICOCLAW_URL', `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      vi.stubEnv('CHECK_TOKEN', 'the-token');
      const { handler }: { handler(): Promise<string> } = createRequire(import.meta.url)('./check/index.js');
      return await handler();
    } finally {
      server.close();
    }
  }

  it('sends POST /task/check with its token and gives back the answer', async () => {
    const body = await call((request, response) => {
      response.end(`${request.method} ${request.url} ${request.headers.authorization}`);
    });
    expect(body).toBe('POST /task/check Bearer the-token');
  });

  it('fails when the server refuses, and says why', async () => {
    await expect(
      call((_request, response) => {
        response.writeHead(503).end('{"code":"store_owned_elsewhere"}');
      }),
    ).rejects.toThrow('POST /task/check: 503 {"code":"store_owned_elsewhere"}');
  });

  it('fails when nobody answers', async () => {
    await expect(call((request) => request.socket.destroy())).rejects.toThrow();
  });
});
