import { describe, expect, it } from 'vitest';
import { expectProblem, startApp } from '../support/http-app.ts';

const apiTokens = ['first-token', 'second-token-that-is-longer'];
const settings = { apiTokens };

describe('with API_TOKEN', () => {
  it.each([
    ['Authorization: Bearer', { authorization: 'Bearer first-token' }],
    ['another of the tokens', { authorization: 'Bearer second-token-that-is-longer' }],
    ['the scheme in small letters', { authorization: 'bearer first-token' }],
    ['the scheme in any case', { authorization: 'bEARER first-token' }],
    ['blanks around the token', { authorization: '  Bearer   first-token  ' }],
    ['x-api-key', { 'x-api-key': 'first-token' }],
    ['x-api-key beside a gateway’s own Authorization', { 'x-api-key': 'first-token', authorization: 'Bearer gateway' }],
    ['Authorization beside a wrong x-api-key', { 'x-api-key': 'nope', authorization: 'Bearer first-token' }],
  ])('%s lets a request in', async (_, headers) => {
    await using app = await startApp({ settings });
    expect((await app.send('/chat', { headers })).status).toBe(200);
  });

  it.each([
    ['no token', {}],
    ['a wrong token', { authorization: 'Bearer wrong' }],
    ['a wrong token of the right length', { authorization: 'Bearer first-tokeN' }],
    ['a beginning of the token', { authorization: 'Bearer first' }],
    ['the token and more', { authorization: 'Bearer first-token2' }],
    ['all tokens together', { authorization: `Bearer ${apiTokens.join(',')}` }],
    ['the token without a scheme', { authorization: 'first-token' }],
    ['the token under another scheme', { authorization: 'Basic first-token' }],
    ['an empty token', { authorization: 'Bearer ' }],
    ['an empty x-api-key', { 'x-api-key': '' }],
    ['the token in another header', { 'x-token': 'first-token' }],
  ])('%s is a 401', async (_, headers) => {
    await using app = await startApp({ settings });
    const answer = await app.send('/chat', { headers });
    expectProblem(answer, 401, 'unauthorized');
    expect(JSON.stringify(answer.body)).not.toContain('first-token');
  });

  it.each([
    ['GET', '/chat/x'],
    ['GET', '/chat/x/messages'],
    ['DELETE', '/chat/x'],
    ['POST', '/chat'],
    ['POST', '/chat/x/outbound'],
    ['POST', '/task'],
    ['GET', '/tasks'],
    ['GET', '/task/x'],
    ['PUT', '/task/x'],
    ['DELETE', '/task/x'],
    ['GET', '/task/x/runs'],
    ['POST', '/task/check'],
    ['GET', '/task/check'],
    ['POST', '/task/trigger'],
    ['GET', '/admin/skills'],
    ['POST', '/admin/reload-skills'],
    ['POST', '/control/stop'],
    ['PUT', '/chat'],
    ['GET', '/nope'],
    ['OPTIONS', '/chat'],
  ])('%s %s needs one', async (method, path) => {
    await using app = await startApp({ settings });
    expectProblem(await app.send(path, { method }), 401, 'unauthorized');
    expect(app.stopReasons).toEqual([]);
  });

  it.each(['/health', '/health/', '/openapi.json'])('GET %s needs none', async (path) => {
    await using app = await startApp({ settings });
    expect((await app.send(path)).status).toBe(200);
  });

  it('a request without one is refused before its body is read', async () => {
    await using app = await startApp({ settings });
    let read = false;
    const body = new ReadableStream(
      {
        pull: (controller) => {
          read = true;
          controller.close();
        },
      },
      { highWaterMark: 0 },
    );
    const answer = await app.send('/chat', { method: 'POST', body, duplex: 'half' });
    expectProblem(answer, 401, 'unauthorized');
    expect(read).toBe(false);
  });
});

describe('without API_TOKEN', () => {
  it('everybody may call, with or without a token', async () => {
    await using app = await startApp();
    expect((await app.send('/chat')).status).toBe(200);
    expect((await app.send('/chat', { headers: { authorization: 'Bearer whatever' } })).status).toBe(200);
  });
});

describe('without API_TOKEN and ALLOW_ANONYMOUS', () => {
  const closed = { settings: { apiTokens: [], allowAnonymous: false } };

  it.each([
    'https://page.example',
    'http://page.example:9000',
    'http://10.0.0.1',
    'http://[2001:db8::1]',
    'http://localhost.example',
    'http://127.0.0.1.example',
    'null',
    'nonsense',
  ])('a page of %s is a 401, though it needs no leave of the server to send this', async (origin) => {
    await using app = await startApp(closed);
    for (const path of ['/chat', '/control/stop', '/task/check']) {
      const answer = await app.send(path, { method: 'POST', headers: { origin }, body: '{}' });
      expectProblem(answer, 401, 'unauthorized');
      expect(answer.body.detail).toContain(`Origin: a web page, ${JSON.stringify(origin)}, may not call`);
    }
    expect(app.stopReasons).toEqual([]);
  });

  it('a name of somebody else that leads here is a 401', async () => {
    await using app = await startApp(closed);
    const answer = await app.send('http://rebound.example:9000/chat');
    expectProblem(answer, 401, 'unauthorized');
    expect(answer.body.detail).toContain('Host: whoever takes this machine for "rebound.example"');
  });

  it.each(['http://localhost:5173', 'http://127.0.0.1:8080', 'http://[::1]:3000', 'http://app.localhost'])(
    'a page of %s is let in',
    async (origin) => {
      await using app = await startApp(closed);
      expect((await app.send('/chat', { headers: { origin } })).status).toBe(200);
    },
  );
});

it('with ALLOW_ANONYMOUS a page is let in, whatever its address and the server’s', async () => {
  await using app = await startApp({ settings: { apiTokens: [], allowAnonymous: true } });
  const headers = { origin: 'https://page.example' };
  expect((await app.send('https://api.example/chat', { headers })).status).toBe(200);
});
