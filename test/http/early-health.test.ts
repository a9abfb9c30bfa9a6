import { describe, expect, it } from 'vitest';
import type { HealthReport } from '../../src/http/health.ts';
import { listen } from '../../src/http/server.ts';
import { startApp, type TestApp } from '../support/http-app.ts';
import { parseObject } from '../support/http-instance.ts';
import { sendRaw } from '../support/http-socket.ts';

const request = (line: string, ...headers: string[]) =>
  [line, 'Connection: close', ...headers]
    .map((each) => `${each}\r\n`)
    .join('')
    .concat('\r\n');

/** A server that has loaded nothing yet, and how often it was asked to. */
async function serveUnloaded(app: TestApp) {
  const { lazyApp } = app;
  let loads = 0;
  const load = () => {
    loads += 1;
    return lazyApp.load();
  };
  const server = await listen({ ...lazyApp, load }, { host: '127.0.0.1', port: 0 });
  return {
    ...server,
    url: `http://127.0.0.1:${server.port}`,
    loads: () => loads,
    [Symbol.asyncDispose]: () => server.close(),
  };
}

/** Status line, headers by their names in lower case, and body; without what differs from one response to the next. */
function parse(response: string) {
  const [head = '', body = ''] = response.split('\r\n\r\n');
  const [statusLine, ...lines] = head.split('\r\n');
  const headers = new Map(lines.map((line): [string, string] => [line.split(':')[0]?.toLowerCase() ?? '', line]));
  for (const name of ['date', 'server-timing']) expect(headers.delete(name)).toBe(true);
  return {
    statusLine,
    headers: Object.fromEntries([...headers].map(([name, line]) => [name, line.replace(/^[^:]*: /, '')])),
    body: parseObject(body),
  };
}

describe('GET /health before the app is loaded', () => {
  const degraded: HealthReport = {
    database: { ok: false, conversations: 0, tasks: 0 },
    volumes: { memory: true, skills: false, sessions: true, store: true },
    agent: {
      ok: true,
      version: '',
      warm: 0,
      sandbox: null,
      processes: { idle: 0, inRuns: 0, starting: 0, waiting: 0, memoryBytes: null },
    },
    store: {
      durable: false,
      epoch: 0,
      lastSyncAt: null,
      fault: 'another instance is at work on the volume',
      owner: 'elsewhere:1',
      syncMs: null,
      hydrate: null,
      databaseBytes: 0,
      walBytes: 0,
      lastSnapshot: null,
    },
    nextDueAt: null,
  };

  it.each([
    ['well', {}, 'HTTP/1.1 200 OK'],
    ['degraded', { health: async () => degraded }, 'HTTP/1.1 503 Service Unavailable'],
    ['stopping', { stopping: () => true }, 'HTTP/1.1 503 Service Unavailable'],
  ])('is answered and logged as by the app, when the server is %s', async (_, input, statusLine) => {
    await using app = await startApp(input);
    await using server = await serveUnloaded(app);
    const ask = (id: string) => sendRaw(server, request('GET /health HTTP/1.1', 'Host: x', `X-Request-ID: ${id}`));
    const early = parse(await ask('the-same'));
    expect(server.loads()).toBe(0);
    await sendRaw(server, request('GET /chat HTTP/1.1', 'Host: x'));
    expect(server.loads()).toBe(1);
    const late = parse(await ask('the-same'));
    expect(early.statusLine).toBe(statusLine);
    expect(early).toEqual(late);

    const lines = app.logs().filter((line) => line.msg === 'request' && line.route === '/health');
    const [first, second] = lines.map(({ time: _, duration_ms, ...rest }) => ({ ...rest, took: typeof duration_ms }));
    expect(first).toMatchObject({ request_id: 'the-same', method: 'GET', took: 'number' });
    expect(first).toEqual(second);
  });

  it('has an id of its own when the caller gives none that is fit', async () => {
    await using app = await startApp();
    await using server = await serveUnloaded(app);
    for (const given of [[], ['X-Request-ID: two words']]) {
      const { headers } = parse(await sendRaw(server, request('GET /health HTTP/1.1', 'Host: x', ...given)));
      expect(headers['x-request-id']).toMatch(/^req-/);
    }
    expect(server.loads()).toBe(0);
  });

  it.each([
    ['GET /health?verbose=1 HTTP/1.1', 'Host: x', 400],
    ['HEAD /health HTTP/1.1', 'Host: x', 200],
    ['POST /health HTTP/1.1', 'Host: x', 405],
    ['GET /health/ HTTP/1.1', 'Host: x', 200],
    ['GET /health HTTP/1.1', 'Host: [', 400],
    ['GET /health HTTP/1.1', 'Accept: */*', 400],
    ['GET /nowhere HTTP/1.1', 'Host: x', 404],
    ['no HTTP', 'Host: x', 400],
  ])(
    'is left to the app, which is loaded for it, when it is not as plain as that: %s, %s',
    async (line, header, status) => {
      await using app = await startApp();
      await using server = await serveUnloaded(app);
      expect(await sendRaw(server, request(line, header))).toMatch(`HTTP/1.1 ${status} `);
      expect(server.loads()).toBe(1);
    },
  );
});
