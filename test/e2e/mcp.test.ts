/** `picoclaw mcp` as a process of its own, over the official client library, against the real server. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { makeMcpServer } from '../../src/tools/mcp-server.ts';
import { type Model, startModel } from '../support/model.ts';
import { post, programEntry, runServer, startServer, type TestServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';
import { callWith, type ToolAnswer } from '../support/tool-client.ts';

const root = join(import.meta.dirname, '../..');
const token = 'the-token-0123456789';
const bearer = { authorization: `Bearer ${token}` };

const task = z.looseObject({ status: z.string(), prompt: z.string(), next_run: z.string().nullable() });
const answered = z.looseObject({
  conversation_id: z.string(),
  outbound_messages: z.array(z.looseObject({ text: z.string() })),
});

let model: Model;
let server: TestServer;
const dir = sharedFolder();

beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'Hello.' });
  server = await startServer({ model, dir, env: { API_TOKEN: `${token},another-token-0123456789` } });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await model.stop();
});

type Connected = { client: Client; call(tool: string, args?: Record<string, unknown>): Promise<ToolAnswer> };

async function connect(env: Record<string, string> = {}): Promise<Connected> {
  const client = new Client({ name: 'test', version: '1.0.0' });
  onTestFinished(() => client.close());
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [programEntry(), 'mcp'],
      cwd: root,
      env: { PICOCLAW_URL: server.url, API_TOKEN: token, ...env },
    }),
  );
  return { client, call: (tool, args) => callWith(client, tool, args) };
}

async function stored(id: string): Promise<z.infer<typeof task>> {
  const response = await fetch(`${server.url}/task/${id}`, { headers: bearer });
  expect(response.status).toBe(200);
  return task.parse(await response.json());
}

async function chat(body: object): Promise<z.infer<typeof answered>> {
  const response = await post(`${server.url}/chat`, body, bearer);
  expect(response.status).toBe(200);
  return answered.parse(await response.json());
}

test('it offers the tools that the agent has, word for word', async () => {
  const [near, far] = InMemoryTransport.createLinkedPair();
  await makeMcpServer({ version: '1.0.0', call: () => Promise.reject(new Error('not called')) }).connect(far);
  const inProcess = new Client({ name: 'test', version: '1.0.0' });
  await inProcess.connect(near);

  const { client } = await connect();

  expect(client.getServerVersion()).toMatchObject({ name: 'picoclaw', version: manifest.version });
  const offered = await client.listTools();
  expect(offered.tools).toHaveLength(7);
  expect(offered).toEqual(await inProcess.listTools());
});

test('a task is made, listed, paused, resumed, changed and canceled on the server', async () => {
  const { call } = await connect();
  const hourly = { id: 'hourly', prompt: 'Look.', schedule_type: 'cron', schedule_value: '0 * * * *' };

  expect(await call('schedule_task', hourly)).toEqual({
    text: expect.stringMatching(/^Task hourly created; next run \d{4}-\d\d-\d\dT\d\d:00:00Z /),
    isError: false,
  });
  const { next_run } = await stored('hourly');
  expect((await call('list_tasks')).text).toMatch(/^hourly \| active \| cron "0 \* \* \* \*" UTC \| next run /);

  expect((await call('pause_task', { task_id: 'hourly' })).text).toBe('Task hourly paused.');
  expect(await stored('hourly')).toMatchObject({ status: 'paused' });
  expect((await call('resume_task', { task_id: 'hourly' })).text).toMatch(/^Task hourly resumed; next run /);
  expect(await stored('hourly')).toMatchObject({ status: 'active' });

  expect((await call('update_task', { task_id: 'hourly', prompt: 'Look twice.' })).isError).toBe(false);
  expect(await stored('hourly')).toMatchObject({ prompt: 'Look twice.', next_run });

  expect((await call('cancel_task', { task_id: 'hourly' })).text).toBe('Task hourly canceled.');
  expect(await call('list_tasks')).toEqual({ text: 'No tasks found.', isError: false });
  expect(await call('cancel_task', { task_id: 'hourly' })).toEqual({ text: 'task not found: hourly', isError: true });
});

test('a fault is told as the server tells it', async () => {
  const { call } = await connect();
  const everyFiveMinutes = { prompt: 'Look.', schedule_type: 'interval', schedule_value: '5m' };

  expect(await call('schedule_task', everyFiveMinutes)).toEqual({
    text: expect.stringMatching(/^schedule_value: must be whole milliseconds .*; got "5m"$/),
    isError: true,
  });
  expect(await call('schedule_task', { ...everyFiveMinutes, target_conversation_id: 'conv-unknown' })).toEqual({
    text: 'target_conversation_id not found: conv-unknown',
    isError: true,
  });
});

test('a message comes with the next answer of the bound conversation, once', async () => {
  const { conversation_id } = await chat({ message: 'hello' });
  const { call } = await connect({ PICOCLAW_CONVERSATION_ID: conversation_id });

  expect(await call('send_message', { text: 'Deployed. 🚀', sender: 'deployer' })).toEqual({
    text: 'Message queued.',
    isError: false,
  });

  const next = await chat({ message: 'hello', conversation_id });
  expect(next.outbound_messages).toMatchObject([{ text: 'Deployed. 🚀', sender: 'deployer' }]);
  expect((await chat({ message: 'hello', conversation_id })).outbound_messages).toEqual([]);
});

test('without a bound conversation a message is an error that names the variable', async () => {
  const { call } = await connect();

  expect(await call('send_message', { text: 'Hello?' })).toEqual({
    text: expect.stringContaining('PICOCLAW_CONVERSATION_ID'),
    isError: true,
  });
});

test('a token that the server does not have is an error that says unauthorized', async () => {
  const { call } = await connect({ API_TOKEN: 'another-but-wrong-0123456789' });

  const { text, isError } = await call('list_tasks');

  expect(isError).toBe(true);
  expect(text).toMatch(/^unauthorized: .* API_TOKEN /);
});

test('of several tokens the first is sent', async () => {
  const { call } = await connect({ API_TOKEN: ` ${token} , wrong-0123456789` });

  expect((await call('list_tasks')).isError).toBe(false);
});

test('a server that stops is an error of the tool, and the tools go on', async () => {
  const other = await startServer({ model });
  const { call } = await connect({ PICOCLAW_URL: other.url });
  expect((await call('list_tasks')).isError).toBe(false);
  await other[Symbol.asyncDispose]();

  for (const tool of ['list_tasks', 'list_tasks'])
    expect(await call(tool)).toEqual({
      text: `the PicoClaw server at ${other.url} cannot be reached (ECONNREFUSED); is it running, and is PICOCLAW_URL right?`,
      isError: true,
    });
});

describe('its process', () => {
  const env = { PATH: process.env.PATH ?? '' };

  test.each([
    ['ftp://127.0.0.1:9000', '"ftp://127.0.0.1:9000"'],
    ['127.0.0.1:9000', '"127.0.0.1:9000"'],
    ['http://127.0.0.1:9000/?a=b', '"http://127.0.0.1:9000/?a=b"'],
    ['http://robin:hunter2@127.0.0.1:9000', '(a URL with a password)'],
  ])('does not start with %s for a URL, and says why', async (url, shown) => {
    const { code, stdout, stderr } = await runServer({ ...env, PICOCLAW_URL: url }, ['mcp']);

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(`PICOCLAW_URL: ${shown}\n    must be an http or https URL`);
    expect(stderr).not.toContain('hunter2');
  });

  test('tells all that is wrong at once, and never a token', async () => {
    const wrong = { PICOCLAW_URL: 'nowhere', API_TOKEN: 'with blank', PICOCLAW_CONVERSATION_ID: ' ' };
    const { code, stderr } = await runServer({ ...env, ...wrong }, ['mcp']);

    expect(code).toBe(1);
    expect(stderr).toBe(`picoclaw: \`picoclaw mcp\` cannot start with these settings
  PICOCLAW_URL: "nowhere"
    must be an http or https URL without a user, password, query or fragment in it
  API_TOKEN: (secret)
    must be one or several tokens separated by commas, each of visible ASCII characters without white space
  PICOCLAW_CONVERSATION_ID: " "
    must be the id of a conversation
`);
  });

  test('ends with exit code 0 and without a word when its input has ended', async () => {
    expect(await runServer(env, ['mcp'])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  test('answers what was asked before its input ended, and writes nothing but answers', async () => {
    const { child, lines, ended } = startMcp({ ...env, PICOCLAW_URL: server.url, API_TOKEN: token });
    child.stdin.end(`${initialize}\nno JSON\n${callOf(2, 'list_tasks')}\n${callOf(3, 'pause_task')}\n`);

    expect(await ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/^picoclaw mcp: .*JSON/) });
    const answers = lines.map((line) => rpc.parse(JSON.parse(line)));
    expect(answers.map(({ id }) => id).toSorted()).toEqual([1, 2, 3]);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends with exit code 0 on %s', async (signal) => {
    const { child, firstLine, ended } = startMcp(env);
    child.stdin.write(`${initialize}\n`);
    await firstLine;

    child.kill(signal);

    expect(await ended).toEqual({ code: 0, stderr: '' });
  });

  test('ends with exit code 1 and says why when a message has no end', async () => {
    const { child, ended } = startMcp(env);
    // It ends before it has read all.
    child.stdin.on('error', () => undefined);
    child.stdin.write('a'.repeat(11 * 1024 * 1024));

    expect(await ended).toEqual({ code: 1, stderr: expect.stringMatching(/^picoclaw mcp: .*maximum size/) });
  });

  test('ends with exit code 0 when nobody reads its answers any more', async () => {
    const { child, firstLine, ended } = startMcp(env);
    child.stdin.write(`${initialize}\n`);
    await firstLine;

    child.stdout.destroy();
    child.stdin.write(`${callOf(2, 'nothing')}\n`);

    expect(await ended).toEqual({ code: 0, stderr: '' });
  });
});

const rpc = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.int(), result: z.looseObject({}) });

const initialize = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'test', version: '1.0.0' } },
});

function callOf(id: number, name: string): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: {} } });
}

/** Its process, as a client in any language has it. */
function startMcp(env: Record<string, string>) {
  const child = spawn(process.execPath, [programEntry(), 'mcp'], { cwd: root, env, stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return {
    child,
    lines,
    firstLine: once(reader, 'line'),
    ended: Promise.all([once(child, 'exit'), once(child.stderr, 'close'), once(child.stdout, 'close')]).then(
      ([[code]]) => ({ code, stderr }),
    ),
  };
}
