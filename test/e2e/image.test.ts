/**
 * A server from its start to its end, over HTTP: the image that PICOCLAW_TEST_IMAGE names (`make test-e2e`), in a container as strict as
 * docker-compose.yml has it, and without one the bundle as a process.
 */

import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { entryIn, installedApp } from '../support/bundle.ts';
import { readFrames } from '../support/frames.ts';
import { freePort } from '../support/free-port.ts';
import { type Model, startModel } from '../support/model.ts';
import { chatAnswer, serverEnv, startServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';

const image = process.env.PICOCLAW_TEST_IMAGE;
const token = 'a-token-of-the-image-0123';
const dir = sharedFolder();

let model: Model;
beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'From what is shipped.' });
});
afterAll(() => model.stop());

describe(image === undefined ? 'the bundle as a process' : `a container of ${image}`, () => {
  it('answers, streams, runs a task, stops in order, and knows all of it when it is started again', async () => {
    let conversationId = '';
    {
      await using server = await start();
      expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ status: 'ok', agent: { ok: true } });
      expect((await fetch(`${server.url}/chat`)).status).toBe(401);
      const answer = chatAnswer.parse(await (await server.post('/chat', { message: 'hello' })).json());
      expect(answer).toMatchObject({ status: 'success', result: 'From what is shipped.' });
      conversationId = answer.conversation_id;
      const streamed = await server.post('/chat', { message: 'again', conversation_id: conversationId, stream: true });
      const frames = [];
      for await (const frame of readFrames(streamed)) frames.push(frame);
      expect(frames.at(-1)).toMatchObject({ event: 'done', data: { result: 'From what is shipped.' } });
      const task = { prompt: 'Look around.', schedule_type: 'once', schedule_value: '2020-01-01T00:00' };
      expect((await server.post('/task', task)).status).toBe(201);
      const checked = await (await server.post('/task/check', {})).json();
      expect(checked).toMatchObject({ checked: 1, executed: { status: 'success' } });
    }
    await using server = await start();
    const found = await (await server.get(`/chat/${conversationId}/messages`)).json();
    expect(z.object({ messages: z.array(z.unknown()) }).parse(found).messages).toHaveLength(4);
  });

  it('has the description of the settings that its --help names', async () => {
    const [node, main] = [process.execPath, entryIn(installedApp())];
    const run = promisify(execFile);
    const inContainer = ['run', '--rm', '--entrypoint', 'cat', image ?? ''];
    const { stdout } = await (image === undefined
      ? run(node, [main, '--help'])
      : run('docker', ['run', '--rm', image, '--help']));
    const settings = /All of them: (.+)$/m.exec(stdout)?.[1] ?? '';
    const text = await (image === undefined ? run('cat', [settings]) : run('docker', [...inContainer, settings]));
    expect(text.stdout).toMatch(/^# Configuration$/m);
  });
});

type Started = AsyncDisposable & {
  url: string;
  get(path: string): Promise<Response>;
  post(path: string, body: object): Promise<Response>;
};

/** On the same folders each time. Disposing of it stops it in order. */
async function start(): Promise<Started> {
  const { url, stop } = image === undefined ? await startProcess() : await startContainer(image);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return {
    url,
    get: (path) => fetch(url + path, { headers }),
    post: (path, body) => fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) }),
    [Symbol.asyncDispose]: stop,
  };
}

async function startProcess() {
  const server = await startServer({ model, dir, env: { API_TOKEN: token } });
  return {
    url: server.url,
    async stop() {
      server.kill('SIGTERM');
      expect(await server.exited).toBe(0);
    },
  };
}

async function startContainer(name: string) {
  const docker = (...args: string[]) => promisify(execFile)('docker', args);
  const volume = join(dir, 'volume');
  mkdirSync(volume, { recursive: true });
  if (process.getuid?.() === 0) chownSync(volume, 1000, 1000);
  const port = await freePort();
  const { PATH: _path, HOME: _home, ...settings } = serverEnv('/mnt/any', model.url);
  const env = { ...settings, PORT: String(port), API_TOKEN: token, LOCAL_DB_PATH: '/tmp/messages.db' };
  const envFile = join(dir, 'env');
  writeFileSync(
    envFile,
    Object.entries(env)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  );
  const user = process.getuid?.() === 0 ? [] : ['--user', `${process.getuid?.()}:${process.getgid?.()}`];
  const container = `picoclaw-test-${randomUUID()}`;
  const limits = [
    '--read-only',
    '--tmpfs',
    '/tmp:exec,mode=1777',
    '--cap-drop',
    'ALL',
    '--security-opt',
    'no-new-privileges',
  ];
  const place = ['--network', 'host', '--volume', `${volume}:/mnt/any`, '--env-file', envFile];
  await docker('run', '--detach', '--name', container, ...user, ...limits, ...place, name);
  const url = `http://127.0.0.1:${port}`;
  const health = () =>
    fetch(`${url}/health`).then(
      ({ status }) => status,
      () => 0,
    );
  await expect.poll(health).toBe(200);
  return {
    url,
    async stop() {
      await docker('stop', container);
      const { stdout } = await docker('inspect', '--format', '{{.State.ExitCode}}', container);
      await docker('rm', container);
      expect(stdout.trim()).toBe('0');
    },
  };
}
