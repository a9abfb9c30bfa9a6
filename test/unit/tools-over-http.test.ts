/** What is wrong with the way to the server is told in words that lead to the fault; `fetch` is the server's double. */

import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { startApp } from '../support/http-app.ts';
import { connectOverHttp } from '../support/tool-client.ts';

function connect(answer: () => Response | Promise<Response>, deps: { url?: string; conversationId?: string } = {}) {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetchDouble: typeof fetch = async (url, init = {}) => {
    asked.push({ url: String(url), init });
    return answer();
  };
  return connectOverHttp({ fetch: fetchDouble, token: 'the-token', ...deps }).then((tools) => ({
    ...tools,
    asked,
  }));
}

test('the token is sent as a bearer, and no redirection is followed', async () => {
  const { call, asked } = await connect(() => Response.json({ tasks: [], next_cursor: null }));

  expect(await call('list_tasks')).toEqual({ text: 'No tasks found.', isError: false });

  expect(asked).toMatchObject([
    {
      url: 'http://localhost/tasks?limit=200',
      init: { method: 'GET', headers: { authorization: 'Bearer the-token' }, redirect: 'manual' },
    },
  ]);
});

test('a path in the URL is kept, with or without a slash at its end', async () => {
  for (const url of ['https://gateway.example/pico', 'https://gateway.example/pico/']) {
    const { call, asked } = await connect(() => Response.json({ tasks: [], next_cursor: null }), { url });
    await call('list_tasks');
    expect(asked[0]?.url).toBe('https://gateway.example/pico/tasks?limit=200');
  }
});

test('a token that the server refuses is told as unauthorized, without the token', async () => {
  const app = await startApp({ settings: { apiTokens: ['the-right-token'] } });
  onTestFinished(() => app[Symbol.asyncDispose]());
  const fetchApp: typeof fetch = (url, init) => app.fetch(new URL(String(url)).pathname, init);

  for (const token of [null, 'the-wrong-token']) {
    const { call } = await connectOverHttp({ fetch: fetchApp, token });
    expect(await call('list_tasks')).toEqual({
      text: 'unauthorized: the PicoClaw server at http://localhost refused the token; set API_TOKEN to one that it has',
      isError: true,
    });
  }
});

test('a server that is not there is told with its URL and the reason', async () => {
  const url = await closedUrl();
  const { call } = await connectOverHttp({ url });

  expect(await call('list_tasks')).toEqual({
    text: `the PicoClaw server at ${url} cannot be reached (ECONNREFUSED); is it running, and is PICOCLAW_URL right?`,
    isError: true,
  });
});

test('a server that gives no answer in time is told, and that it may have acted', async () => {
  const { call } = await connect(() => {
    throw new DOMException('The operation was aborted due to timeout', 'TimeoutError');
  });

  expect((await call('cancel_task', { task_id: 'hourly' })).text).toBe(
    'the PicoClaw server at http://localhost gave no answer within 30 s; what was asked may have happened',
  );
});

test('an answer that is cut off is told', async () => {
  const broken = new ReadableStream({ start: (controller) => controller.error(new TypeError('terminated')) });
  const { call } = await connect(() => new Response(broken));

  expect((await call('list_tasks')).text).toMatch(/cannot be reached \(terminated\)/);
});

test.each<[string, () => Response, RegExp]>([
  [
    'a page',
    () => new Response('<html>', { status: 200 }),
    /answered with another JSON than expected; is it a PicoClaw/,
  ],
  ['JSON of another make', () => Response.json({ tasks: [{ id: 7 }] }), /answered with another JSON than expected/],
  ['an error of another make', () => new Response('Bad gateway', { status: 502 }), /answered with status 502/],
  ['an error of version 1', () => Response.json({ error: 'boom' }, { status: 500 }), /answered with status 500/],
  ['a redirection', () => Response.redirect('https://elsewhere.example/', 301), /answered with status 301/],
])('%s is told as the answer of another server', async (_, answer, wanted) => {
  const { call } = await connect(answer);

  const { text, isError } = await call('list_tasks');

  expect(isError).toBe(true);
  expect(text).toMatch(/^the server at http:\/\/localhost /);
  expect(text).toMatch(wanted);
});

test('a problem that only a newer server knows is told in its words', async () => {
  const problem = { code: 'out_of_stamps', detail: 'the post office is closed' };
  const { call } = await connect(() => Response.json(problem, { status: 503 }));

  expect(await call('list_tasks')).toEqual({ text: 'the post office is closed', isError: true });
});

async function closedUrl(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${address.port}`;
}
