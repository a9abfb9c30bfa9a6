import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import { makeTask, minutely } from '../support/http-tasks.ts';
import { tick } from '../support/store-inputs.ts';

const idList = z.looseObject({
  conversations: z.array(z.looseObject({ id: z.string() })),
  next_cursor: z.string().nullable(),
});
const textList = z.looseObject({
  messages: z.array(z.looseObject({ content: z.string() })),
  next_cursor: z.string().nullable(),
});
const timeList = z.looseObject({ messages: z.array(z.looseObject({ created_at: z.string() })) });

async function begin(app: TestApp, message = 'x'): Promise<string> {
  return String((await app.post('/chat', { message })).body.conversation_id);
}

/** The one conversation whose id can come again. Returns its session. */
async function beginTeam(app: TestApp): Promise<unknown> {
  const { id } = await makeTask(app, { ...minutely, context_mode: 'group', conversation_id: 'team' });
  await app.post('/task/trigger', { task_id: id });
  return (await app.send('/chat/team')).body.session_id;
}

describe('GET /chat', () => {
  it('is empty at first', async () => {
    await using app = await startApp();
    expect((await app.send('/chat')).body).toEqual({ conversations: [], next_cursor: null });
  });

  it('lists conversations newest first, each with every member of the contract', async () => {
    await using app = await startApp();
    const [first, second] = [await begin(app), await begin(app)];
    const { body } = await app.send('/chat');
    expect(body).toEqual({
      conversations: [second, first].map((id) => ({
        id,
        conversation_id: id,
        session_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        last_activity: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        message_count: 2,
        status: 'idle',
      })),
      next_cursor: null,
    });
  });

  it('tells when a conversation began and when it was last active, as GET /chat/:id does', async () => {
    await using app = await startApp({ clock: { now: tick } });
    const id = await begin(app);
    await app.post('/chat', { message: 'y', conversation_id: id });
    const { messages } = timeList.parse((await app.send(`/chat/${id}/messages`)).body);
    const times = messages.map(({ created_at }) => created_at);
    expect(new Set(times).size).toBe(4);
    const expected = { created_at: times[0], last_activity: times[3] };
    expect((await app.send(`/chat/${id}`)).body).toMatchObject(expected);
    expect((await app.send('/chat')).body.conversations).toMatchObject([expected]);
  });

  it('pages, and each conversation is on one page', async () => {
    await using app = await startApp();
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.unshift(await begin(app));
    const seen: string[] = [];
    let [path, pages] = ['/chat?limit=2', 0];
    for (;;) {
      const { conversations, next_cursor } = idList.parse((await app.send(path)).body);
      seen.push(...conversations.map(({ id }) => id));
      pages++;
      if (next_cursor === null) break;
      path = `/chat?limit=2&cursor=${encodeURIComponent(next_cursor)}`;
    }
    expect(seen).toEqual(ids);
    expect(pages).toBe(3);
  });

  it('lists 50 without a limit, and 200 at most', async () => {
    await using app = await startApp();
    for (let n = 0; n < 51; n++)
      app.sql(
        "INSERT INTO conversations (id, session_id, created_at, last_activity, message_count, status, fencing_token, seen_seq) VALUES (?, NULL, ?, ?, 0, 'idle', 0, 0)",
        `old-${n}`,
        '2026-01-01T00:00:00.000Z',
        '2026-01-01T00:00:00.000Z',
      );
    expect(idList.parse((await app.send('/chat')).body).conversations).toHaveLength(50);
    const all = idList.parse((await app.send('/chat?limit=200')).body);
    expect(all.conversations).toHaveLength(51);
    expect(all.conversations[0]).toMatchObject({ session_id: null });
  });
});

describe('GET /chat/:id', () => {
  it('answers with every member of the contract', async () => {
    await using app = await startApp();
    const id = await begin(app);
    expect((await app.send(`/chat/${id}`)).body).toEqual({
      conversation_id: id,
      session_id: expect.any(String),
      message_count: 2,
      last_activity: expect.any(String),
      created_at: expect.any(String),
      status: 'idle',
    });
  });

  it('says running while a run is active', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    const { conversationId } = await hold.reached;
    expect((await app.send(`/chat/${conversationId}`)).body).toMatchObject({ status: 'running', message_count: 1 });
    hold.release();
    await answer;
    expect((await app.send(`/chat/${conversationId}`)).body).toMatchObject({ status: 'idle' });
  });
});

describe('GET /chat/:id/messages', () => {
  it('lists messages oldest first, each with every member of the contract', async () => {
    await using app = await startApp();
    const id = await begin(app, 'one');
    const { body } = await app.send(`/chat/${id}/messages`);
    const common = { id: expect.stringMatching(/^msg-/), conversation_id: id, created_at: expect.any(String) };
    expect(body).toEqual({
      conversation_id: id,
      messages: [
        { ...common, role: 'user', sender: 'user', sender_name: 'user', content: 'one' },
        { ...common, role: 'assistant', sender: 'assistant', sender_name: 'Pico', content: 'Hello.' },
      ],
      next_cursor: null,
    });
  });

  it('pages in order', async () => {
    await using app = await startApp();
    const id = await begin(app, 'one');
    await app.post('/chat', { message: 'two', conversation_id: id });
    const first = textList.parse((await app.send(`/chat/${id}/messages?limit=3`)).body);
    expect(first.messages.map(({ content }) => content)).toEqual(['one', 'Hello.', 'two']);
    const cursor = encodeURIComponent(String(first.next_cursor));
    const second = textList.parse((await app.send(`/chat/${id}/messages?limit=3&cursor=${cursor}`)).body);
    expect(second).toMatchObject({ messages: [{ content: 'Hello.' }], next_cursor: null });
  });
});

describe('DELETE /chat/:id', () => {
  it('removes the conversation with its messages and runs, and the transcript of the agent', async () => {
    await using app = await startApp();
    const before = app.rows();
    const first = await app.post('/chat', { message: 'x' });
    const kept = await begin(app);
    const response = await app.fetch(`/chat/${String(first.body.conversation_id)}`, { method: 'DELETE' });
    expect(response.status).toBe(204);
    expect(await response.text()).toBe('');
    expect(app.agent.forgotten).toEqual([first.body.session_id]);
    expect(app.agent.archivesForgotten).toEqual([first.body.session_id]);
    expectProblem(await app.send(`/chat/${String(first.body.conversation_id)}`), 404, 'not_found');
    expect((await app.fetch(`/chat/${kept}`, { method: 'DELETE' })).status).toBe(204);
    expect(app.rows()).toEqual(before);
  });

  it('is a 409 while a run is active, and removes nothing', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const answer = app.post('/chat', { message: 'x' });
    const { conversationId } = await hold.reached;
    const before = app.rows();
    const refused = await app.send(`/chat/${conversationId}`, { method: 'DELETE' });
    expectProblem(refused, 409, 'conversation_busy');
    expect(refused.body).toMatchObject({ conversation_id: conversationId });
    expect(app.rows()).toEqual(before);
    expect(app.agent.forgotten).toEqual([]);
    hold.release();
    expect((await answer).body.status).toBe('success');
  });

  it('is a 503 that forgets nothing while it cannot be made durable, and is done when it is asked for again', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    const id = String(body.conversation_id);
    for (const _ of ['once', 'and again']) {
      app.breakVolumeAtSync();
      const refused = await app.send(`/chat/${id}`, { method: 'DELETE' });
      expectProblem(refused, 503, 'not_durable');
      expect(refused.body).toMatchObject({ conversation_id: id });
      app.repairVolume();
    }
    expect(app.agent.forgotten).toEqual([]);
    expect((await app.send(`/chat/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect(app.agent.forgotten).toEqual([body.session_id]);
    expectProblem(await app.send(`/chat/${id}`, { method: 'DELETE' }), 404, 'not_found');
  });

  it('is a 503 while the transcript cannot be removed, and is done when it is asked for again', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    const id = String(body.conversation_id);
    app.agent.beforeForget = () => {
      throw new Error('EROFS: /data/memory/.claude');
    };
    const refused = await app.send(`/chat/${id}`, { method: 'DELETE' });
    expectProblem(refused, 503, 'not_durable');
    expect(refused.body).toMatchObject({ conversation_id: id, detail: expect.stringContaining('transcript') });
    expect(JSON.stringify(refused.body)).not.toContain('EROFS');
    app.agent.beforeForget = () => undefined;
    expect((await app.send(`/chat/${id}`, { method: 'DELETE' })).status).toBe(204);
    expect(app.agent.forgotten).toEqual([body.session_id]);
    expect(await app.store.listUnforgotten()).toEqual([]);
    expectProblem(await app.send(`/chat/${id}`, { method: 'DELETE' }), 404, 'not_found');
  });

  it('is no 404 before the volume knows it too', async () => {
    await using app = await startApp();
    const id = await begin(app);
    // The transcript goes; that it is gone cannot be written.
    app.agent.beforeForget = () => app.breakVolume();
    expectProblem(await app.send(`/chat/${id}`, { method: 'DELETE' }), 503, 'not_durable');
    expectProblem(await app.send(`/chat/${id}`, { method: 'DELETE' }), 503, 'not_durable');
    app.repairVolume();
    expectProblem(await app.send(`/chat/${id}`, { method: 'DELETE' }), 404, 'not_found');
  });

  it('forgets every session that the conversation had', async () => {
    await using app = await startApp();
    const first = await app.post('/chat', { message: 'x' });
    const conversation_id = String(first.body.conversation_id);
    const [taken, begun] = [randomUUID(), randomUUID()];
    app.agent.next({ result: { sessionId: taken, freshBecause: 'the transcript was gone' } });
    expect((await app.post('/chat', { message: 'y', conversation_id })).body.session_id).toBe(taken);
    await app.store.addSession(conversation_id, begun);
    expect((await app.fetch(`/chat/${conversation_id}`, { method: 'DELETE' })).status).toBe(204);
    expect([...app.agent.forgotten].sort()).toEqual([String(first.body.session_id), taken, begun].sort());
  });

  it('knows the sessions of a conversation that took its name meanwhile, for when that is deleted', async () => {
    await using app = await startApp();
    const before = await beginTeam(app);
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    app.agent.beforeForget = () => {
      reached.resolve();
      return released.promise;
    };
    const deleted = app.delete('/chat/team');
    await reached.promise;
    const after = await beginTeam(app);
    released.resolve();
    expect((await deleted).status).toBe(204);
    expect(app.agent.forgotten).toEqual([before]);
    expect((await app.delete('/chat/team')).status).toBe(204);
    expect(app.agent.forgotten).toEqual([before, after]);
  });

  it('is finished at the next start, where the server died before the transcripts were gone', async () => {
    await using app = await startApp();
    const [first, kept] = [await app.post('/chat', { message: 'x' }), await app.post('/chat', { message: 'y' })];
    await app.store.deleteConversation(String(first.body.conversation_id));
    await app.finishDeletions();
    expect(app.agent.forgotten).toEqual([first.body.session_id]);
    await app.finishDeletions();
    expect(app.agent.forgotten).toEqual([first.body.session_id]);
    expect((await app.send(`/chat/${String(kept.body.conversation_id)}`)).status).toBe(200);
  });

  it('is finished at a start without touching a conversation that took its name meanwhile', async () => {
    await using app = await startApp();
    const first = await app.post('/chat', { message: 'x' });
    const before = await beginTeam(app);
    for (const id of [String(first.body.conversation_id), 'team']) await app.store.deleteConversation(id);
    const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    app.agent.beforeForget = () => {
      reached.resolve();
      return released.promise;
    };
    const finished = app.finishDeletions();
    await reached.promise;
    const after = await beginTeam(app);
    released.resolve();
    await finished;
    expect([...app.agent.forgotten].sort()).toEqual([first.body.session_id, before].sort());
    expect(await app.store.listSessions('team')).toEqual([after]);
  });

  it('that cannot be finished at a start is tried at the next, and stops neither', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' });
    await app.store.deleteConversation(String(body.conversation_id));
    app.agent.beforeForget = () => {
      throw new Error('EROFS');
    };
    await app.finishDeletions();
    expect(app.logs().filter(({ level }) => level === 'error')).toMatchObject([{ err: { message: 'EROFS' } }]);
    app.agent.beforeForget = () => undefined;
    await app.finishDeletions();
    expect(app.agent.forgotten).toEqual([body.session_id]);
  });
});

describe('an unknown conversation', () => {
  it.each([
    ['GET', '/chat/conv-nope'],
    ['GET', '/chat/conv-nope/messages'],
    ['DELETE', '/chat/conv-nope'],
  ])('is a 404 for %s %s', async (method, path) => {
    await using app = await startApp();
    const answer = await app.send(path, { method });
    expectProblem(answer, 404, 'not_found');
    expect(answer.body).toMatchObject({
      error: 'conversation_id not found: conv-nope',
      conversation_id: 'conv-nope',
      retryable: false,
    });
  });
});
