/** Several instances on one volume: one is at work at a time, nobody answers from a state that another has left behind. */

import { describe, expect, it } from 'vitest';
import { routes } from '../../src/http/routes/openapi.ts';
import type { Instance as Self } from '../../src/store/volume/instance.ts';
import { collect } from '../support/frames.ts';
import { type Matcher, watchFs } from '../support/fs-faults.ts';
import { expectProblem, startApp, type TestApp } from '../support/http-app.ts';
import type { Answer } from '../support/http-instance.ts';
import { readMessages, soon } from '../support/http-tasks.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** On another machine, as far as anybody can tell: whether it is alive is not to be seen. */
const elsewhere = (name: string): Self => ({ label: `${name}:1`, world: null, pid: 1, started: null });

const first = () => startApp({ self: elsewhere('first') });
const second = ({ storeDir }: TestApp) => startApp({ storeDir, self: elsewhere('second') });

/** Does not wait for the one that is at work: it takes its lease for its own. So does whoever finds one that was frozen. */
const usurper = ({ storeDir }: TestApp) => startApp({ storeDir, self: elsewhere('first') });

const says = (text: string) => [{ type: 'message' } as const, { type: 'text', text } as const];
const contents = async (app: TestApp, id: unknown) => (await readMessages(app, id)).map(({ content }) => content);
const storeOf = async (app: TestApp) => (await app.send('/health')).body.store;

/** One of each operation that has to do with the store. */
const requests: [method: string, path: string, body?: object][] = [
  ['POST', '/chat', { message: 'x' }],
  ['POST', '/chat', { message: 'x', stream: true }],
  ['GET', '/chat'],
  ['GET', '/chat/x'],
  ['GET', '/chat/x/messages'],
  ['DELETE', '/chat/x'],
  ['POST', '/chat/x/outbound', { text: 'x' }],
  ['POST', '/task', soon],
  ['GET', '/tasks'],
  ['GET', '/task/a'],
  ['PUT', '/task/a', { prompt: 'y' }],
  ['DELETE', '/task/a'],
  ['GET', '/task/a/runs'],
  ['POST', '/task/trigger', { task_id: 'a' }],
  ['POST', '/task/check', {}],
];

function sendAll(app: TestApp): Promise<Answer[]> {
  const headers = { 'content-type': 'application/json' };
  return Promise.all(
    requests.map(([method, path, body]) =>
      app.send(path, { method, ...(body === undefined ? {} : { headers, body: JSON.stringify(body) }) }),
    ),
  );
}

describe('while another instance is at work', () => {
  it('every request is refused after a while, naming it, health says so, and all is served once it is idle', async () => {
    await using busy = await first();
    const run = busy.agent.hold();
    const answer = busy.post('/chat', { message: 'long work' });
    await run.reached;
    await using waiting = await second(busy);

    const refused = sendAll(waiting);
    expect(await waiting.send('/health')).toMatchObject({
      status: 503,
      body: { status: 'degraded', database: { ok: false }, store: { durable: false, epoch: 0, owner: 'first:1' } },
    });
    const covered = new Set(requests.map(([method, path]) => `${method} ${path.replace(/\/[ax](\/|$)/, '/{id}$1')}`));
    const withStore = routes.filter(({ store }) => store !== undefined);
    expect(covered).toEqual(new Set(withStore.map(({ method, path }) => `${method.toUpperCase()} ${path}`)));
    for (const problem of await refused) {
      expectProblem(problem, 503, 'store_owned_elsewhere');
      expect(problem.body).toMatchObject({ owner: 'first:1', retryable: true });
      expect(problem.headers.get('retry-after')).toBe('2');
    }
    expect(waiting.agent.requests).toEqual([]);

    run.release({ events: says('Done.') });
    const { status, body } = await answer;
    expect(status).toBe(200);
    const next = await waiting.post('/chat', { message: 'and now?', conversation_id: body.conversation_id });
    expect(next.body).toMatchObject({ status: 'success', result: 'Hello.' });
    expect(await contents(waiting, body.conversation_id)).toEqual(['long work', 'Done.', 'and now?', 'Hello.']);
    expect(await waiting.send('/health')).toMatchObject({ status: 200, body: { store: { owner: null, fault: null } } });
  });

  it('a request whose last look at it takes too long is refused naming it', async () => {
    const storeDir = temporaryFolder();
    const files = watchFs(storeDir);
    await using busy = await startApp({ storeDir, self: elsewhere('first') });
    const run = busy.agent.hold();
    const answer = busy.post('/chat', { message: 'long work' });
    await run.reached;
    await using waiting = await second(busy);
    // Only who waits for an owner reads its lease; again and again does a request.
    const isLook: Matcher = ({ name, path }) => name === 'open' && path.endsWith('/lease');
    let looks = 0;
    files.before((operation) => {
      if (isLook(operation)) looks += 1;
    });
    const refused = waiting.send('/tasks');
    await expect.poll(() => looks).toBeGreaterThan(4);
    const look = files.hold(isLook);
    const problem = await refused;
    expectProblem(problem, 503, 'store_owned_elsewhere');
    expect(problem.body).toMatchObject({ owner: 'first:1' });
    look.release();
    run.release();
    expect((await answer).status).toBe(200);
  });

  it('a request that waits is served as soon as it is idle', async () => {
    await using busy = await first();
    const run = busy.agent.hold();
    const answer = busy.stream({ message: 'long work' });
    await run.reached;
    await using waiting = await second(busy);
    const waits = waiting.post('/chat', { message: 'me too' });
    run.release();
    expect((await collect(await answer)).at(-1)?.event).toBe('done');
    expect((await waits).body).toMatchObject({ status: 'success' });
  });
});

describe('an idle instance', () => {
  it('is taken over from with everything it answered, and asked again serves what the other wrote', async () => {
    await using one = await first();
    const { conversation_id } = (await one.post('/chat', { message: 'one 0' })).body;
    await using other = await second(one);
    const wanted = ['one 0', 'Hello.'];
    const instances: [string, TestApp][] = [
      ['other', other],
      ['one', one],
    ];
    for (const round of [1, 2]) {
      for (const [name, app] of instances) {
        expect(await contents(app, conversation_id)).toEqual(wanted);
        const message = `${name} ${round}`;
        expect((await app.post('/chat', { message, conversation_id })).body.status).toBe('success');
        wanted.push(message, 'Hello.');
      }
    }
    expect(await storeOf(one)).toMatchObject({ durable: true, epoch: 5, owner: null });
    expect(one.onVolume('select count(*) as n from messages')).toEqual([{ n: wanted.length }]);
  });

  it('goes on without copying anything when nobody came', async () => {
    await using one = await first();
    await one.post('/chat', { message: 'x' });
    const timing = (await one.send('/chat')).headers.get('server-timing');
    expect(timing).not.toContain('hydrate');
    expect(await storeOf(one)).toMatchObject({ epoch: 1 });
  });

  it('tells what it took to read the volume again', async () => {
    await using one = await first();
    await using other = await second(one);
    await other.post('/chat', { message: 'x' });
    expect((await one.send('/chat')).headers.get('server-timing')).toMatch(/hydrate;dur=/);
    expect(await storeOf(one)).toMatchObject({ epoch: 3, hydrate_ms: expect.any(Number) });
  });
});

describe('an instance that loses the volume', () => {
  it('ends the run under way with a 503, and serves the next request', async () => {
    await using loser = await first();
    const run = loser.agent.hold(says('Half'));
    const answer = loser.post('/chat', { message: 'long work' });
    const { conversationId, signal } = await run.reached;
    await using winner = await usurper(loser);

    const problem = await answer;
    expectProblem(problem, 503, 'store_owned_elsewhere');
    expect(problem.body).toMatchObject({ conversation_id: conversationId, retryable: true });
    expect(problem.headers.get('retry-after')).toBe('1');
    expect(signal.aborted).toBe(true);
    expect((await winner.send(`/chat/${conversationId}`)).body).toMatchObject({ status: 'idle', message_count: 1 });
    const next = await loser.post('/chat', { message: 'again', conversation_id: conversationId });
    expect(next.body).toMatchObject({ status: 'success' });
    expect(await contents(winner, conversationId)).toEqual(['long work', 'again', 'Hello.']);
  });

  it('ends a stream with the event error, and serves the next request', async () => {
    await using loser = await first();
    const run = loser.agent.hold(says('Half'));
    const frames = await loser.stream({ message: 'long work' });
    const { conversationId } = await run.reached;
    await using winner = await usurper(loser);

    const last = (await collect(frames)).at(-1);
    expect(last).toMatchObject({
      event: 'error',
      data: { code: 'store_owned_elsewhere', status: 503, retryable: true, conversation_id: conversationId },
    });
    expect(await contents(loser, conversationId)).toEqual(['long work']);
    expect(await contents(winner, conversationId)).toEqual(['long work']);
  });

  it('does not answer with what its agent had to say, and stores none of it', async () => {
    await using loser = await first();
    const run = loser.agent.hold();
    const answer = loser.post('/chat', { message: 'long work' });
    const { conversationId } = await run.reached;
    await using winner = await usurper(loser);
    run.release({ events: says('Nobody hears this.') });
    expectProblem(await answer, 503, 'store_owned_elsewhere');
    expect(await contents(winner, conversationId)).toEqual(['long work']);
    expect(await contents(loser, conversationId)).toEqual(['long work']);
  });

  it.each([
    ['its conversation', 200],
    ['that there is none', 404],
  ])('while it reads does not answer %s as it was, but as it is', async (_, statusBefore) => {
    const reading = { isHeld: false, reached: Promise.withResolvers<void>(), released: Promise.withResolvers<void>() };
    const read: unknown[] = [];
    await using loser = await startApp({
      self: elsewhere('first'),
      store: (real) => ({
        ...real,
        getConversation: async (id) => {
          const found = await real.getConversation(id);
          read.push(found?.messageCount ?? null);
          if (!reading.isHeld) return found;
          reading.reached.resolve();
          await reading.released.promise;
          return found;
        },
      }),
    });
    const { body } = await loser.post('/chat', { message: 'x' });
    const id = statusBefore === 404 ? 'made-meanwhile' : String(body.conversation_id);
    read.length = 0;
    reading.isHeld = true;
    const answer = loser.send(`/chat/${id}`);
    await reading.reached.promise;
    await using winner = await usurper(loser);
    if (statusBefore === 404) await winner.post('/task', { ...soon, context_mode: 'group', conversation_id: id });
    else await winner.post('/chat', { message: 'y', conversation_id: id });
    reading.isHeld = false;
    reading.released.resolve();

    const [before, after] = statusBefore === 404 ? [null, 0] : [2, 4];
    expect(await answer).toMatchObject({ status: 200, body: { message_count: after } });
    expect(read).toEqual([before, after]);
  });
});
