/** The life of the server's process: start, refusal to start, stop. */

import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Model, startModel } from '../support/model.ts';
import { liveProcesses } from '../support/processes.ts';
import { post, runServer, serverEnv, startServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

let model: Model;
let dir: string;

beforeAll(async () => {
  model = await startModel();
  model.mock.on({ userMessage: /slow/ }, { content: 'Slow and steady wins.' });
  model.mock.on({}, { content: 'Hello.' });
});
afterAll(() => model.stop());
beforeEach(() => {
  dir = temporaryFolder();
});

describe('a start that cannot succeed', () => {
  it('names every faulty setting at once, with the fix, and never a secret', async () => {
    const env = {
      ...serverEnv(dir, model.url),
      PORT: 'ninety',
      MAX_EXECUTION_MS: '5m',
      TZ: 'CST-8',
      ANTHROPIC_API_KEY: '',
      API_TOKEN: 'hush hush',
    };
    const { code, stdout, stderr } = await runServer(env);
    expect(code).toBe(1);
    for (const name of ['PORT', 'MAX_EXECUTION_MS', 'TZ', 'ANTHROPIC_API_KEY', 'API_TOKEN'])
      expect(stderr).toContain(name);
    for (const value of ['ninety', '5m', 'CST-8', 'make demo']) expect(stderr).toContain(value);
    expect(stdout + stderr).not.toContain('hush');
  });

  it('names folders that cannot be written together with the other faults', async () => {
    const [store, memory] = [join(dir, 'a-file'), join(dir, 'another-file')];
    writeFileSync(store, 'not a folder');
    writeFileSync(memory, 'not a folder');
    const { code, stdout, stderr } = await runServer({
      ...serverEnv(dir, model.url),
      API_TOKEN: 'hush-hush-0123456789',
      STORE_DIR: store,
      MEMORY_DIR: memory,
      MAX_EXECUTION_MS: '5m',
    });
    expect(code).toBe(1);
    for (const told of ['STORE_DIR', store, 'MEMORY_DIR', memory, 'MAX_EXECUTION_MS', '5m'])
      expect(stderr).toContain(told);
    expect(stdout + stderr).not.toMatch(/hush|sk-ant/);
  });

  it('refuses to listen beyond loopback without a token', async () => {
    const { code, stderr } = await runServer({ ...serverEnv(dir, model.url), HOST: '0.0.0.0' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/API_TOKEN/);
  });

  it('says when the port is in use, and exits 1', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const address = other.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    const { code, stderr } = await runServer({ ...serverEnv(dir, model.url), PORT: port });
    other.close();
    expect(code).toBe(1);
    expect(stderr).toContain(port);
    expect(stderr).toMatch(/in use/);
  });

  it('says when the address is none of this machine, and exits 1', async () => {
    const { code, stderr } = await runServer({
      ...serverEnv(dir, model.url),
      HOST: '203.0.113.7',
      API_TOKEN: 'hush-hush-0123456789',
    });
    expect(code).toBe(1);
    expect(stderr).toContain('HOST: 203.0.113.7');
  });

  it.each(['serv', 'toString', 'constructor'])('knows its commands, of which %s is none', async (command) => {
    const { code, stderr } = await runServer(serverEnv(dir, model.url), [command]);
    expect(code).toBe(2);
    expect(stderr).toContain(`no command "${command}"`);
    expect(stderr).toContain('serve');
  });
});

describe('a start', () => {
  it('warns where everybody may call', async () => {
    await using server = await startServer({ model, dir });
    const told = server.log().filter(({ level, msg }) => level === 'warn' && msg?.includes('API_TOKEN is not set'));
    expect(told).toHaveLength(1);
  });
});

describe('a stop', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('by %s lets a run end, answers it, and exits 0', async (signal) => {
    await using server = await startServer({ model, dir });
    const hold = model.fault({ kind: 'hold', when: ({ raw }) => raw.includes('slow') });
    const answer = server.chat({ message: 'slow' });
    await hold.reached;
    server.kill(signal);
    await server.logged((entry) => entry.msg === 'stopping');
    hold.release();
    expect(await answer).toMatchObject({ status: 'success', result: 'Slow and steady wins.' });
    expect(await server.exited).toBe(0);
    expect(liveProcesses(dir)).toEqual([]);
  });

  it('interrupts a run that outlasts the grace period, keeps its text, and tells it', async () => {
    await using server = await startServer({ model, dir, env: { SHUTDOWN_GRACE_MS: '300' } });
    const stall = model.fault({ kind: 'stall', afterDeltas: 1, when: ({ raw }) => raw.includes('slow') });
    const all = [];
    for await (const frame of server.stream({ message: 'slow' })) {
      // The text that is to be kept has come through.
      if (frame.event === 'chunk') server.kill('SIGTERM');
      all.push(frame);
    }
    expect(all.at(-1)).toMatchObject({ event: 'done', data: { status: 'error', result: 'Slow and' } });
    expect(String(all.at(-1)?.data.error)).toMatch(/shutdown/);
    expect(await server.exited).toBe(0);
    expect(liveProcesses(dir)).toEqual([]);

    const volume = new DatabaseSync(join(dir, 'store/messages.db'), { readOnly: true });
    expect(volume.prepare('select status from runs').get()).toEqual({ status: 'cancelled' });
    expect(volume.prepare("select content from messages where role = 'assistant'").get()).toEqual({
      content: 'Slow and',
    });
    expect(volume.prepare('select status from conversations').get()).toEqual({ status: 'idle' });
    volume.close();
    stall.release();
  });

  it('by POST /control/stop answers first', async () => {
    await using server = await startServer({ model, dir });
    const response = await post(`${server.url}/control/stop`, { reason: 'maintenance' });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: 'stopping', reason: 'maintenance' });
    expect(await server.exited).toBe(0);
  });

  it('that cannot write what changed last exits 1', async () => {
    await using server = await startServer({ model, dir });
    rmSync(join(dir, 'store'), { recursive: true });
    expect((await post(`${server.url}/chat`, { message: 'hello' })).status).toBe(503);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(1);
    expect(await server.logged(({ msg }) => msg === 'stopped')).toMatchObject({ clean: false });
  });

  it('is cut short by a second signal', async () => {
    await using server = await startServer({ model, dir });
    const hold = model.fault({ kind: 'hold', when: ({ raw }) => raw.includes('slow') });
    const answer = server.chat({ message: 'slow' }).catch(() => 'no answer');
    await hold.reached;
    server.kill('SIGTERM');
    await server.logged((entry) => entry.msg === 'stopping');
    const again = setInterval(() => server.kill('SIGTERM'), 100);
    expect(await server.exited).toBe(143);
    clearInterval(again);
    expect(await answer).toBe('no answer');
    hold.release();
    await expect.poll(() => liveProcesses(dir)).toEqual([]);
  });
});

describe('the answer when the volume fails', () => {
  it('is 503 not_durable, also to a question, and health says so until the volume is back, with nothing of what was refused', async () => {
    await using server = await startServer({ model, dir });
    const { conversation_id } = await server.chat({ message: 'hello' });
    renameSync(join(dir, 'store'), join(dir, 'unmounted'));
    const refused = await post(`${server.url}/chat`, { message: 'hello again', conversation_id });
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'not_durable', retryable: true });
    expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(await server.get(`/chat/${conversation_id}`)).toMatchObject({ status: 503, body: { code: 'not_durable' } });
    expect(await server.get('/health')).toMatchObject({
      status: 503,
      body: { status: 'degraded', store: { durable: false, fault: expect.any(String) } },
    });
    renameSync(join(dir, 'unmounted'), join(dir, 'store'));
    expect((await server.get(`/chat/${conversation_id}`)).body).toMatchObject({ message_count: 2, status: 'idle' });
    await expect.poll(async () => (await server.get('/health')).status).toBe(200);
  });
});
