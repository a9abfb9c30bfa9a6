/** What is wrong with the way to the server is told in words that lead to the fault; `fetch` is the server's double. */

import { createServer } from 'node:http';
import { describe, expect, onTestFinished, test } from 'vitest';
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

test.each<[string, () => Response, string]>([
  ['a long page', () => new Response(`<html>${'a'.repeat(33)}🌱</html>`), `200 and "<html>${'a'.repeat(33)}"…`],
  ['JSON of another make', () => Response.json({ tasks: [{ id: 7 }] }), String.raw`200 and "{\"tasks\":[{\"id\":7}]}"`],
  ['an error of another make', () => new Response('Bad gateway', { status: 502 }), '502 and "Bad gateway"'],
  [
    'an error of version 1',
    () => Response.json({ error: 'boom' }, { status: 500 }),
    String.raw`500 and "{\"error\":\"boom\"}"`,
  ],
  ['a redirection', () => Response.redirect('https://elsewhere.example/', 301), '301 and no body'],
  [
    'a problem that is said to be a success',
    () => Response.json({ code: 'not_found', detail: 'x' }, { status: 202 }),
    String.raw`202 and "{\"code\":\"not_found\",\"detail\":\"x\"}"`,
  ],
])('%s is told as the answer of another server', async (_, answer, shown) => {
  const { call } = await connect(answer);

  expect(await call('list_tasks')).toEqual({ text: notPicoClaw(shown), isError: true });
});

describe('a server that is not PicoClaw and answers everything alike', () => {
  const interval = { prompt: 'Look.', schedule_type: 'interval', schedule_value: '3600000' };
  const calls: [string, Record<string, unknown>, { conversationId?: string }][] = [
    ['send_message', { text: 'Deployed.' }, { conversationId: 'conv-1' }],
    ['schedule_task', interval, {}],
    ['schedule_task', interval, { conversationId: 'conv-1' }],
    ['list_tasks', {}, {}],
    ['pause_task', { task_id: 'hourly' }, {}],
    ['resume_task', { task_id: 'hourly' }, {}],
    ['cancel_task', { task_id: 'hourly' }, {}],
    ['update_task', { task_id: 'hourly', prompt: 'Look twice.' }, {}],
  ];

  test.each<[string, () => Response, string]>([
    ['with a page', () => new Response('<html>Hello</html>'), '200 and "<html>Hello</html>"'],
    ['with an empty object', () => Response.json({}), '200 and "{}"'],
    ['with an empty list', () => Response.json([]), '200 and "[]"'],
    ['with the id of something', () => Response.json({ id: 'x' }), String.raw`200 and "{\"id\":\"x\"}"`],
    ['with nothing', () => new Response(), '200 and no body'],
    ['that it made an object', () => Response.json({}, { status: 201 }), '201 and "{}"'],
  ])('%s is an error of every tool', async (_, answer, shown) => {
    for (const [tool, args, deps] of calls) {
      const { call, asked } = await connect(answer, deps);
      expect(await call(tool, args), tool).toEqual({ text: notPicoClaw(shown), isError: true });
      expect(asked).toHaveLength(1);
    }
  });

  test('that there is no content is an error of every tool that wants some', async () => {
    for (const [tool, args, deps] of calls.filter(([name]) => name !== 'cancel_task')) {
      const { call } = await connect(() => new Response(null, { status: 204 }), deps);
      expect(await call(tool, args), tool).toEqual({ text: notPicoClaw('204 and no body'), isError: true });
    }
  });
});

function notPicoClaw(shown: string): string {
  return `the server at http://localhost answered with status ${shown}; is it a PicoClaw server of version 2?`;
}

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
