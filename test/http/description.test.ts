/** That the document tells what the server does: its examples are true, and a response that it does not have is found out. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse as parseYaml } from 'yaml';
import manifest from '../../package.json' with { type: 'json' };
import { examples } from '../../src/http/openapi.ts';
import { checkFrames, checkProblem, checkResponse, description, expectValid } from '../support/api-description.ts';
import { collect, readFrames } from '../support/frames.ts';
import { startApp } from '../support/http-app.ts';

const operations = Object.entries(description.paths).flatMap(([path, item]) =>
  Object.entries(item).map(([method, { operationId }]) => ({ path, method, operationId })),
);
const folder = join(import.meta.dirname, '../../docs/api');

describe('the files of docs/api', () => {
  it('are what the server serves', async () => {
    await using app = await startApp({ settings: { version: manifest.version } });
    const { body } = await app.send('/openapi.json');
    expect(JSON.parse(readFileSync(join(folder, 'openapi.json'), 'utf8'))).toEqual(body);
    expect(parseYaml(readFileSync(join(folder, 'openapi.yaml'), 'utf8'))).toEqual(body);
  });
});

describe('the examples', () => {
  it.each(operations)('of $operationId are as it describes them, for every body', ({ path, method }) => {
    const operation = description.paths[path]?.[method];
    const bodies = [
      ...Object.entries(operation?.requestBody?.content ?? {}).map(([type, media]) => ({
        place: ['requestBody'],
        type,
        media,
      })),
      ...Object.entries(operation?.responses ?? {}).flatMap(([status, { content = {} }]) =>
        Object.entries(content).map(([type, media]) => ({ place: ['responses', status], type, media })),
      ),
    ];
    for (const { place, type, media } of bodies.filter((body) => body.type !== 'text/event-stream')) {
      const values = Object.values(media.examples ?? {});
      expect(values.length, `${place.join(' ')} ${type}`).toBeGreaterThan(0);
      for (const { value } of values) expectValid(['paths', path, method, ...place, 'content', type, 'schema'], value);
    }
  });

  it('have a stream that is one', async () => {
    const stream = description.paths['/chat']?.post?.responses['200']?.content?.['text/event-stream']?.example;
    const frames = await collect(checkFrames(readFrames(new Response(String(stream)))));
    expect(frames.map(({ event }) => event)).toEqual(['start', 'tool_use', 'chunk', 'chunk', 'done']);
  });

  it.each(operations)(
    'of $operationId have a request that is refused in these words',
    async ({ path, method, operationId }) => {
      await using app = await startApp();
      const { query, body } = examples[operationId]?.invalid ?? {};
      const documented = description.paths[path]?.[method]?.responses['400']?.content?.['application/problem+json'];
      const answer = await app.send(`${path.replace('{id}', 'umbrella')}${query ? `?${query}` : ''}`, {
        method: method.toUpperCase(),
        ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
      });
      expect({ ...answer.body, request_id: '' }).toEqual({
        ...Object(documented?.examples?.invalid_request?.value),
        request_id: '',
      });
    },
  );

  it('of a task that is there, of a conversation and a task that are not, and of a body that is no JSON are in these words', async () => {
    await using app = await startApp({ settings: { apiTokens: ['secret'] } });
    const headers = { 'x-api-key': 'secret', 'content-type': 'application/json' };
    const send = (path: string, method: string, body?: string) =>
      app.send(path, { method, headers, ...(body === undefined ? {} : { body }) });
    const task = JSON.stringify(examples.createTask?.requests?.cron?.value);
    expect((await send('/task', 'POST', task)).status).toBe(201);
    const answers = {
      task_exists: await send('/task', 'POST', task),
      malformed_json: await send('/chat', 'POST', '{"message": "Hello"'),
      unauthorized: await app.send('/chat', { headers: { 'x-api-key': 'another' } }),
      forbidden: await send('/chat', 'POST', '{"message": "x", "mcp_servers": {"files": {"command": "x"}}}'),
    };
    const places = {
      task_exists: ['/task', 'post', '409'],
      malformed_json: ['/chat', 'post', '400'],
      unauthorized: ['/chat', 'get', '401'],
      forbidden: ['/chat', 'post', '403'],
    } as const;
    for (const [code, [path, method, status]] of Object.entries(places)) {
      const content = description.paths[path]?.[method]?.responses[status]?.content?.['application/problem+json'];
      const answer = Object.entries(answers).find(([name]) => name === code)?.[1];
      expect({ ...answer?.body, request_id: '' }).toEqual({
        ...Object(content?.examples?.[code]?.value),
        request_id: '',
      });
    }
  });
});

describe('the check of every response', () => {
  const of = { method: 'get', path: '/chat/{id}' };
  const body = examples.getConversation?.responses[200]?.idle?.value;
  const headers = (more: Record<string, string> = {}) =>
    new Headers({
      'content-type': 'application/json',
      'x-request-id': 'req-1',
      'x-build-version': '2.0.0',
      'x-build-commit': 'abc',
      'server-timing': 'total;dur=1.0',
      ...more,
    });

  it('lets through what is described', () => {
    checkResponse(of, { status: 200, headers: headers(), body });
  });

  it.each([
    ['a status', { status: 202, headers: headers(), body }, /answered 202, which is not/],
    [
      'a content type',
      { status: 200, headers: headers({ 'content-type': 'text/html' }), body },
      /content type of its 200/,
    ],
    [
      'a member',
      { status: 200, headers: headers(), body: { ...Object(body), extra: 1 } },
      /"additionalProperty":"extra"/,
    ],
    [
      'a type',
      { status: 200, headers: headers(), body: { ...Object(body), message_count: '2' } },
      /message_count must be integer/,
    ],
    [
      'a time',
      { status: 200, headers: headers(), body: { ...Object(body), created_at: 'today' } },
      /created_at must match/,
    ],
    ['no member', { status: 200, headers: headers(), body: {} }, /required property 'conversation_id'/],
    ['a header', { status: 200, headers: headers({ 'retry-after': '5' }), body }, /headers of its 200/],
    [
      'no header',
      { status: 503, headers: headers({ 'content-type': 'application/problem+json' }), body },
      /Retry-After of its 503/,
    ],
  ])('finds %s that is not described', (_, answer, message) => {
    expect(() => checkResponse(of, answer)).toThrow(message);
  });

  it('finds a problem with a member of its own, and an event of no known name', async () => {
    const problem = { type: 'about:blank', title: 'x', status: 500, detail: 'x', code: 'x', retryable: false };
    expect(() => checkProblem({ ...problem, error: 'x', request_id: 'x', stack: 'x' })).toThrow(/"stack"/);
    const frames = checkFrames(readFrames(new Response('id: 1\nevent: hello\ndata: {}\n\n')));
    await expect(collect(frames)).rejects.toThrow(/ChatEvent/);
  });
});
