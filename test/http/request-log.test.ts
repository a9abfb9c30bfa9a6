import { describe, expect, it } from 'vitest';
import { collect } from '../support/frames.ts';
import { expectProblem, startApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import { withStart } from '../support/http-instance.ts';
import { makeTask, objectOf, soon } from '../support/http-tasks.ts';

const withId = (id: string) => ({ 'x-request-id': id });

describe('the request log', () => {
  it('has one line a request, with the pattern of the route and not its query', async () => {
    await using app = await startApp();
    await app.send('/chat?limit=7&cursor=secret', { headers: withId('r1') });
    expect(await app.requestLine('r1')).toEqual({
      level: 'info',
      time: expect.any(Number),
      msg: 'request',
      request_id: 'r1',
      method: 'GET',
      route: '/chat',
      status: 400,
      duration_ms: expect.any(Number),
    });
    expect(app.logs().filter((line) => line.request_id === 'r1')).toHaveLength(1);
    expect(JSON.stringify(app.logs())).not.toContain('secret');
  });

  it('names the run and the conversation, and how the run ended', async () => {
    await using app = await startApp();
    const { body } = await app.post('/chat', { message: 'x' }, withId('r2'));
    expect(await app.requestLine('r2')).toMatchObject({
      method: 'POST',
      route: '/chat',
      status: 200,
      run_id: body.run_id,
      conversation_id: body.conversation_id,
      run_status: 'success',
    });
  });

  it('names the task and its run', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: 'team' });
    clock.advance({ minutes: 2 });
    const checked = await app.post('/task/check', {}, withId('check'));
    const triggered = await app.post('/task/trigger', { task_id: 'a' }, withId('trigger'));
    for (const [id, run] of [
      ['check', objectOf(checked.body.executed)],
      ['trigger', triggered.body],
    ] as const)
      expect(await app.requestLine(id)).toMatchObject({
        route: `/task/${id}`,
        status: 200,
        task_id: 'a',
        run_id: run.run_id,
        run_status: 'success',
        conversation_id: 'team',
      });
    await app.post('/task/check', {}, withId('nothing'));
    expect(await app.requestLine('nothing')).not.toHaveProperty('task_id');
  });

  it.each([
    ['GET', '/task/nope', '/task/:id', 404],
    ['DELETE', '/task/nope', '/task/:id', 404],
    ['GET', '/task/nope/runs', '/task/:id/runs', 404],
    ['PUT', '/task/nope', '/task/:id', 404],
    ['POST', '/task/trigger', '/task/trigger', 404],
    ['POST', '/task', '/task', 400],
  ])('names the task of %s %s, which was refused', async (method, path, route, status) => {
    await using app = await startApp();
    const body = { '/task/trigger': { task_id: 'nope' }, '/task': { ...soon, id: 'nope', prompt: ' ' } }[path] ?? {};
    await app.send(path, {
      method,
      headers: { ...withId('r'), 'content-type': 'application/json' },
      ...(method === 'POST' || method === 'PUT' ? { body: JSON.stringify(body) } : {}),
    });
    expect(await app.requestLine('r')).toMatchObject({ route, status, task_id: 'nope' });
  });

  it('names the task of a check whose run has no answer', async () => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, { ...soon, id: 'a' });
    clock.advance({ minutes: 2 });
    app.breakVolumeAtSync();
    await app.post('/task/check', {}, withId('r'));
    expect(await app.requestLine('r')).toMatchObject({ status: 503, task_id: 'a' });
  });

  it('names the task that was made without an id of its own', async () => {
    await using app = await startApp({ clock: makeClock() });
    const { body } = await app.post('/task', soon, withId('r'));
    expect(await app.requestLine('r')).toMatchObject({ status: 201, task_id: body.id });
  });

  it('names the conversation of a request that was refused', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'x', conversation_id: 'conv-nope' }, withId('r3'));
    await app.send('/chat/conv-nope', { headers: withId('r4') });
    expect(await app.requestLine('r3')).toMatchObject({ status: 404, conversation_id: 'conv-nope' });
    expect(await app.requestLine('r4')).toMatchObject({
      status: 404,
      route: '/chat/:id',
      conversation_id: 'conv-nope',
    });
  });

  it.each([
    ['/nope', 404],
    ['/health', 200],
    ['/chat/%zz', 400],
  ])('has a line for %s', async (path, status) => {
    await using app = await startApp();
    await app.send(path, { headers: withId('r5') });
    expect(await app.requestLine('r5')).toMatchObject({ status });
  });

  it('has its line for a stream when that ends, with the status of the run', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const frames = await app.stream({ message: 'x' });
    const requestId = String(frames.response.headers.get('x-request-id'));
    await frames.next();
    expect(app.logs().filter((line) => line.msg === 'request')).toEqual([]);
    hold.release();
    await collect(frames);
    const line = await app.requestLine(requestId);
    expect(line).toMatchObject({ status: 200, run_status: 'success', run_id: expect.stringMatching(/^run-/) });
    expect(line).not.toHaveProperty('client_gone');
  });

  it('has its line for a stream that is refused though its run has begun', async () => {
    await using app = await startApp({
      operations: (real) =>
        withStart(real, async (input) => {
          const run = await real.runs.start(input);
          app.breakVolume();
          return run;
        }),
    });
    const hold = app.agent.hold();
    const refused = await app.post('/chat', { message: 'x', stream: true }, withId('r6'));
    const { conversationId, runId } = await hold.reached;
    expectProblem(refused, 503, 'not_durable');
    expect(refused.body.conversation_id).toBe(conversationId);
    expect(await app.requestLine('r6')).toMatchObject({ status: 503, run_id: runId });
    app.repairVolume();
    hold.release();
  });

  it('says so when the client of a stream went away', async () => {
    await using app = await startApp();
    const hold = app.agent.hold();
    const frames = await app.stream({ message: 'x' });
    await frames.next();
    await frames.return();
    expect(await app.requestLine(String(frames.response.headers.get('x-request-id')))).toMatchObject({
      status: 200,
      client_gone: true,
    });
    hold.release();
  });

  it('never holds a body or a token', async () => {
    await using app = await startApp({ settings: { apiTokens: ['T0KEN-ONE'] } });
    const headers = { authorization: 'Bearer T0KEN-ONE', 'x-api-key': 'T0KEN-ONE' };
    const message = 'B0DY';
    await app.post('/chat', { message, mcp_servers: { a: { url: 'http://a', headers: { k: 'B0DY' } } } }, headers);
    await app.post('/chat', { message, B0DY: 'B0DY' }, headers);
    await app.post('/chat', { message }, { authorization: 'Bearer T0KEN-TWO' });
    await app.send('/chat', { method: 'POST', headers, body: 'B0DY' });
    expect(app.logs().filter((line) => line.msg === 'request')).toHaveLength(4);
    expect(JSON.stringify(app.logs())).not.toMatch(/T0KEN|B0DY/);
  });
});
