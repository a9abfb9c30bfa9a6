import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { expectProblem, faultsOf, startApp } from '../support/http-app.ts';
import { withStart } from '../support/http-instance.ts';

describe('X-Request-ID', () => {
  it.each([
    ['one character', 'a'],
    ['128 visible characters', 'v'.repeat(128)],
    ['punctuation', '~!@#$%^&*()_+{}|:"<>?`-=[]\\;\',./'],
  ])("is the caller's if it is %s", async (_, id) => {
    await using app = await startApp();
    const answer = await app.send('/nope', { headers: { 'x-request-id': id } });
    expect(answer.headers.get('x-request-id')).toBe(id);
    expect(answer.body.request_id).toBe(id);
  });

  it.each([
    ['129 characters', 'v'.repeat(129)],
    ['a blank in it', 'a b'],
    ['a tab in it', 'a\tb'],
    ['letters beyond ASCII', 'caf\u00e9'],
    ['nothing', ''],
  ])('is made here if the one given has %s', async (_, id) => {
    await using app = await startApp();
    const answer = await app.send('/health', { headers: { 'x-request-id': id } });
    expect(answer.headers.get('x-request-id')).toMatch(/^req-[0-9a-f-]{36}$/);
  });

  it('is another for each request that gives none', async () => {
    await using app = await startApp();
    const ids = [await app.send('/health'), await app.send('/health')].map(({ headers }) =>
      headers.get('x-request-id'),
    );
    expect(new Set(ids).size).toBe(2);
  });
});

describe('a path or a method that there is not', () => {
  it.each(['/', '/nope', '/chat/a/b', '/chat/a/messages/b', '/chats', '/Chat', '/healthz', '//chat'])(
    'GET %s is a 404',
    async (path) => {
      await using app = await startApp();
      const answer = await app.send(path);
      expectProblem(answer, 404, 'not_found');
    },
  );

  it.each([
    ['PUT', '/chat', 'POST, GET, HEAD'],
    ['DELETE', '/chat', 'POST, GET, HEAD'],
    ['OPTIONS', '/chat', 'POST, GET, HEAD'],
    ['PATCH', '/chat/x', 'GET, HEAD, DELETE'],
    ['POST', '/chat/x', 'GET, HEAD, DELETE'],
    ['DELETE', '/chat/x/messages', 'GET, HEAD'],
    ['POST', '/health', 'GET, HEAD'],
    ['OPTIONS', '/health', 'GET, HEAD'],
    ['GET', '/control/stop', 'POST'],
    ['HEAD', '/control/stop', 'POST'],
    ['PUT', '/openapi.json', 'GET, HEAD'],
    ['FOO', '/chat/', 'POST, GET, HEAD'],
  ])('%s %s is a 405 that lists the methods', async (method, path, allow) => {
    await using app = await startApp();
    const response = await app.fetch(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get('allow')).toBe(allow);
  });

  it.each(['/chat/%zz', '/chat/%', '/chat/%e2%82/messages', '/%ff'])(
    'GET %s, badly encoded, is a 400',
    async (path) => {
      await using app = await startApp();
      expectProblem(await app.send(path), 400, 'invalid_request');
    },
  );
});

describe('a path', () => {
  it('may end in a slash', async () => {
    await using app = await startApp();
    expect((await app.send('/health/')).status).toBe(200);
    expect((await app.send('/chat/')).body).toHaveProperty('conversations');
    expect((await app.post('/chat/', { message: 'x' })).body.status).toBe('success');
  });

  it('may hold an id with any characters, percent-encoded', async () => {
    await using app = await startApp();
    for (const id of ['a/b', '%2F', 'conv ?#', '中文', '../health', 'a%'])
      expect((await app.send(`/chat/${encodeURIComponent(id)}`)).body).toMatchObject({
        code: 'not_found',
        conversation_id: id,
      });
  });

  it.each(['/chat/a%00b', '/task/a%00b'])('%s is a 400 that says what is wrong with the id', async (path) => {
    await using app = await startApp();
    const answer = await app.send(path);
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual({ id: 'must not hold the character U+0000; got "a\\u0000b"' });
  });
});

describe('HEAD', () => {
  it.each(['/health', '/chat', '/openapi.json'])('%s answers as GET does, without a body', async (path) => {
    await using app = await startApp();
    const [head, get] = [await app.fetch(path, { method: 'HEAD' }), await app.fetch(path)];
    expect(head.status).toBe(200);
    expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'));
    expect(await head.text()).toBe('');
  });
});

describe('an unexpected error', () => {
  it.each([
    ['an Error', new Error('SECRET at /home/x')],
    ['a string', 'SECRET'],
    ['undefined', undefined],
    ['an object', { message: 'SECRET' }],
  ])('that is %s is a 500 with nothing internal, and is logged under the request id', async (_, thrown) => {
    await using app = await startApp({
      operations: (real) => withStart(real, () => Promise.reject(thrown)),
    });
    const answer = await app.post('/chat', { message: 'x' }, { 'x-request-id': 'bug-1' });
    expectProblem(answer, 500, 'internal_error');
    expect(answer.body.retryable).toBe(true);
    expect(JSON.stringify(answer.body)).not.toMatch(/SECRET|\/home|\.ts/);
    const logged = app.logs().find((line) => line.level === 'error' && line.request_id === 'bug-1');
    expect(logged).toBeDefined();
    if (thrown instanceof Error) expect(JSON.stringify(logged)).toContain('general.test.ts');
  });

  it('of GET /health does not bring anything internal out either', async () => {
    await using app = await startApp({ health: () => Promise.reject(new Error('SECRET')) });
    const answer = await app.send('/health');
    expectProblem(answer, 500, 'internal_error');
  });
});

describe('Retry-After', () => {
  it.each([
    ['on a 503 that does not say when', new Problem('run_lost', 'lost'), '5'],
    ['with the seconds that the problem knows', new Problem('run_lost', 'lost', { retryAfterS: 30 }), '30'],
    [
      'on another status where the problem says when',
      new Problem('conversation_busy', 'busy', { retryAfterS: 2 }),
      '2',
    ],
    ['nowhere else', new Problem('conversation_busy', 'busy'), null],
  ])('is sent %s', async (_, problem, retryAfter) => {
    await using app = await startApp({
      operations: (real) => withStart(real, () => Promise.reject(problem)),
    });
    const answer = await app.post('/chat', { message: 'x' });
    expect(answer.headers.get('retry-after')).toBe(retryAfter);
  });
});
