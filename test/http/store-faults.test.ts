/** What the local disk and the volume can refuse: a clear problem, degraded health, and nothing that is told but not so. */

import { closeSync, fstatSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { watchFs } from '../support/fs-faults.ts';
import { expectProblem, startApp } from '../support/http-app.ts';
import { readMessages } from '../support/http-tasks.ts';

/** The app with the connection of its store: what it allows in pages is what a disk allows in bytes. */
async function startOnSmallDisk() {
  const exec = vi.spyOn(DatabaseSync.prototype, 'exec');
  onTestFinished(() => exec.mockRestore());
  const app = await startApp();
  const path = join(app.dir, 'messages.db');
  const own = exec.mock.contexts.filter((db) => db instanceof DatabaseSync && db.isOpen && db.location() === path);
  const connection = own.at(-1);
  if (!(connection instanceof DatabaseSync)) throw new Error('the store has not opened its database');
  return {
    app,
    fillDisk: () => connection.exec('PRAGMA max_page_count = 1'),
    emptyDisk: () => connection.exec('PRAGMA max_page_count = 1000000'),
  };
}

describe('a full local disk', () => {
  it('is a 503 that stores nothing and says so, and health is degraded until something is stored again', async () => {
    const { app, fillDisk, emptyDisk } = await startOnSmallDisk();
    await using _ = app;
    const { conversation_id } = (await app.post('/chat', { message: 'small' })).body;
    const before = app.rows();
    fillDisk();
    const refused = await app.post('/chat', { message: 'large '.repeat(50_000), conversation_id });
    expectProblem(refused, 503, 'store_unavailable');
    expect(refused.body).toMatchObject({
      detail: 'the local disk is full; what was to be written now was not',
      retryable: true,
    });
    expect(app.rows()).toEqual(before);
    expect(app.agent.requests).toHaveLength(1);
    const degraded = {
      status: 503,
      body: { status: 'degraded', store: { durable: false, fault: expect.stringContaining('the local disk is full') } },
    };
    expect(await app.send('/health')).toMatchObject(degraded);
    // What can be read is; it proves nothing of what can be written.
    expect(await readMessages(app, conversation_id)).toHaveLength(2);
    expect(await app.send('/health')).toMatchObject(degraded);

    emptyDisk();
    expect((await app.post('/chat', { message: 'large '.repeat(50_000), conversation_id })).status).toBe(200);
    expect(await app.send('/health')).toMatchObject({ status: 200, body: { store: { durable: true, fault: null } } });
  });

  it('that has no room for the reply is a 503, too, and the conversation goes on', async () => {
    const { app, fillDisk, emptyDisk } = await startOnSmallDisk();
    await using _ = app;
    const { conversation_id } = (await app.post('/chat', { message: 'small' })).body;
    const run = app.agent.hold([{ type: 'message' }, { type: 'text', text: 'large '.repeat(50_000) }]);
    const answer = app.post('/chat', { message: 'tell me all', conversation_id });
    await run.reached;
    fillDisk();
    run.release();
    const refused = await answer;
    expectProblem(refused, 503, 'store_unavailable');
    expect(refused.body).toMatchObject({ detail: expect.stringContaining('the local disk is full'), retryable: true });
    expect((await app.send(`/chat/${String(conversation_id)}`)).body).toMatchObject({ status: 'idle' });
    emptyDisk();
    expect((await app.post('/chat', { message: 'again', conversation_id })).status).toBe(200);
  });

  it('that has no room for what another instance has written says so, and not that the volume is full', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'x' });
    const local = watchFs(app.dir);
    const copy = join(app.dir, 'messages.db');
    const heal = local.fail('ENOSPC', ({ name, path }) => name === 'handle.write' && path === copy);
    await using other = await startApp({ storeDir: app.storeDir });
    await other.post('/chat', { message: 'y' });
    const refused = await app.send('/chat');
    expectProblem(refused, 503, 'store_unavailable');
    expect(refused.body).toMatchObject({ detail: expect.stringContaining('the local disk is full') });
    expect((await app.send('/health')).body.store).toMatchObject({ durable: false, fault: 'the local disk is full' });
    heal();
    await expect.poll(async () => (await app.send('/chat')).status).toBe(200);
  });
});

describe('a local database that is damaged', () => {
  it('is a 503 once, and read again from the volume', async () => {
    await using app = await startApp();
    const { conversation_id } = (await app.post('/chat', { message: 'x' })).body;
    // Another life of it has read nothing of its database yet, and has all of it in the file.
    await using next = await startApp({ storeDir: app.storeDir });
    const file = openSync(join(next.dir, 'messages.db'), 'r+');
    const pageBytes = 4096;
    writeSync(file, Buffer.alloc(fstatSync(file).size - pageBytes, 0xa5), 0, undefined, pageBytes);
    closeSync(file);

    const refused = await next.send(`/chat/${String(conversation_id)}/messages`);
    expectProblem(refused, 503, 'store_unavailable');
    expect(refused.body).toMatchObject({ detail: expect.stringContaining('damaged') });
    expect(await readMessages(next, conversation_id)).toHaveLength(2);
    expect(await next.send('/health')).toMatchObject({ status: 200, body: { store: { durable: true } } });
  });
});

describe('a volume that is away', () => {
  it.each(['/chat', '/chat/ID', '/chat/ID/messages', '/chat/nope', '/tasks', '/task/nope'])(
    'is a 503 for GET %s, which is not answered from memory',
    async (template) => {
      await using app = await startApp();
      const { conversation_id } = (await app.post('/chat', { message: 'x' })).body;
      const path = template.replace('ID', String(conversation_id));
      const before = await app.send(path);
      app.breakVolume();
      const refused = await app.send(path);
      expectProblem(refused, 503, 'not_durable');
      expect(refused.headers.get('retry-after')).toBe('5');
      app.repairVolume();
      const after = await app.send(path);
      expect(after.status).toBe(before.status);
      if (after.status === 200) expect(after.body).toEqual(before.body);
    },
  );

  it('that goes while the answer is read is one too', async () => {
    await using app = await startApp({
      store: (real) => ({
        ...real,
        listConversations: async (input) => {
          const page = await real.listConversations(input);
          app.breakVolume();
          return page;
        },
      }),
    });
    expectProblem(await app.send('/chat'), 503, 'not_durable');
  });

  it('is no reason to refuse what has nothing to do with it', async () => {
    await using app = await startApp();
    app.breakVolume();
    expectProblem(await app.post('/chat', { message: '' }), 400, 'invalid_request');
    expectProblem(await app.send('/nope'), 404, 'not_found');
    expect((await app.send('/openapi.json')).status).toBe(200);
    expect((await app.send('/admin/skills')).status).toBe(200);
  });
});
