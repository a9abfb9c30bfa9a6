/** A client that is generated from docs/api/openapi.json: its types are checked by the compiler, its calls by a real server. */

import createClient from 'openapi-fetch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { components, paths } from '../../docs/api/types.ts';
import { expectValid } from '../support/api-description.ts';
import { readFrames } from '../support/frames.ts';
import { type Model, startModel } from '../support/model.ts';
import { startServer, type TestServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';

type ChatEvent = components['schemas']['ChatEvent'];

const dir = sharedFolder();
let model: Model;
let server: TestServer;

beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'Three things are on your list.' });
  server = await startServer({ model, dir, env: { API_TOKEN: 'secret' } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await model.stop();
});

function connect(token = 'secret') {
  return createClient<paths, 'application/json' | 'application/problem+json'>({
    baseUrl: server.url,
    headers: { authorization: `Bearer ${token}` },
  });
}

describe('a client that is generated from the description', () => {
  it('has a chat, and goes on with it', async () => {
    const client = connect();
    const { data: first } = await client.POST('/chat', { body: { message: 'What is on my list?' } });
    expect(first).toMatchObject({ status: 'success', result: 'Three things are on your list.' });
    const id = first?.conversation_id ?? '';
    const { data: second } = await client.POST('/chat', { body: { message: 'And now?', conversation_id: id } });
    expect(second?.conversation_id).toBe(id);
    const { data: page } = await client.GET('/chat/{id}/messages', {
      params: { path: { id }, query: { limit: 3 } },
    });
    expect(page?.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(page?.next_cursor).toEqual(expect.any(String));
  });

  it('reads a stream, event by event', async () => {
    const { data, response } = await connect().POST('/chat', {
      body: { message: 'What is on my list?', stream: true },
      parseAs: 'stream',
    });
    let text = '';
    let result: string | null = null;
    const names: string[] = [];
    for await (const event of readFrames(new Response(data, response))) {
      if (!isChatEvent(event)) continue;
      names.push(event.event);
      if (event.event === 'chunk') text += event.data.text;
      if (event.event === 'done') result = event.data.result;
    }
    expect(names[0]).toBe('start');
    expect(names.at(-1)).toBe('done');
    expect({ text, result }).toEqual({
      text: 'Three things are on your list.',
      result: 'Three things are on your list.',
    });
  });

  it('makes a task, has it run, reads its runs and deletes it', async () => {
    const client = connect();
    const { data: task, response } = await client.POST('/task', {
      body: { id: 'list', prompt: 'Read the list.', schedule_type: 'once', schedule_value: '2020-01-01T00:00' },
    });
    expect([response.status, task?.status]).toEqual([201, 'active']);
    const { data: check } = await client.POST('/task/check', {});
    expect(check && 'executed' in check ? check.executed.status : check?.message).toBe('success');
    const params = { path: { id: 'list' } };
    const { data: log } = await client.GET('/task/{id}/runs', { params });
    expect(log?.runs.map(({ source, status }) => [source, status])).toEqual([['task_check', 'success']]);
    expect((await client.GET('/task/{id}', { params })).data?.status).toBe('completed');
    expect((await client.DELETE('/task/{id}', { params })).response.status).toBe(204);
    const { error } = await client.GET('/task/{id}', { params });
    expect(error).toMatchObject({ code: 'not_found', retryable: false, task_id: 'list' });
  });

  it('is told what is wrong', async () => {
    const { data, error } = await connect('another').GET('/tasks');
    expect(data).toBeUndefined();
    expect(error?.code).toBe('unauthorized');
  });
});

/** By the schema of the document that the type comes from. */
function isChatEvent(frame: unknown): frame is ChatEvent {
  expectValid(['components', 'schemas', 'ChatEvent'], frame);
  return true;
}
