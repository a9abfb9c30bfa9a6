import { describe, expect, it } from 'vitest';
import { expectProblem, faultsOf, startApp, type TestApp } from '../support/http-app.ts';

const json = { 'content-type': 'application/json' };
const chatText = (app: TestApp, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
  app.send('/chat', { method: 'POST', headers, body });

type Case = [what: string, body: Record<string, unknown>, faults: Record<string, string>];

const longName = 'n'.repeat(201);

const faulty: Case[] = [
  ['no message', {}, { message: 'is required: must be a string' }],
  ['a message that is null', { message: null }, { message: 'must be a string; got null' }],
  ['a message that is a number', { message: 7 }, { message: 'must be a string; got 7' }],
  ['a message that is a list', { message: ['x'] }, { message: 'must be a string; got an array' }],
  ['an empty message', { message: '' }, { message: 'must not be blank; got ""' }],
  ['a blank message', { message: ' \n\t\u3000' }, { message: 'must not be blank; got " \\n\\t\u3000"' }],
  ['an unknown field', { message: 'x', mesage: 'y' }, { mesage: 'is not a known field' }],
  ['"true" for true', { message: 'x', stream: 'true' }, { stream: 'must be true or false; got "true"' }],
  ['1 for true', { message: 'x', thinking: 1 }, { thinking: 'must be true or false; got 1' }],
  ['null for a flag', { message: 'x', show_tool_use: null }, { show_tool_use: 'must be true or false; got null' }],
  [
    'a number as a string',
    { message: 'x', max_execution_ms: '10' },
    { max_execution_ms: 'must be a number; got "10"' },
  ],
  ['0 ms', { message: 'x', max_execution_ms: 0 }, { max_execution_ms: 'must be at least 1; got 0' }],
  ['less than 0 ms', { message: 'x', max_execution_ms: -5 }, { max_execution_ms: 'must be at least 1; got -5' }],
  ['half a ms', { message: 'x', max_execution_ms: 1.5 }, { max_execution_ms: 'must be an integer; got 1.5' }],
  ['a null conversation', { message: 'x', conversation_id: null }, { conversation_id: 'must be a string; got null' }],
  ['an empty conversation', { message: 'x', conversation_id: '' }, { conversation_id: 'must not be empty; got ""' }],
  ['a sender that is an object', { message: 'x', sender: {} }, { sender: 'must be a string; got an object' }],
  ['a blank sender', { message: 'x', sender: ' ' }, { sender: 'must not be blank; got " "' }],
  [
    'a sender_name of 201 characters',
    { message: 'x', sender_name: longName },
    { sender_name: `must have at most 200 characters; got "${'n'.repeat(40)}"…` },
  ],
  [
    'thinking tokens without thinking',
    { message: 'x', max_thinking_tokens: 2000 },
    { max_thinking_tokens: 'is allowed only together with "thinking": true; got 2000' },
  ],
  [
    'thinking tokens with thinking off',
    { message: 'x', max_thinking_tokens: 2000, thinking: false },
    { max_thinking_tokens: 'is allowed only together with "thinking": true; got 2000' },
  ],
  [
    'less thinking tokens than the model API takes',
    { message: 'x', thinking: true, max_thinking_tokens: 1023 },
    { max_thinking_tokens: 'must be at least 1024; got 1023' },
  ],
  ['a blank model', { message: 'x', model: '' }, { model: 'must not be blank; got ""' }],
  [
    'an effort that there is not',
    { message: 'x', effort: 'maximum' },
    { effort: 'must be "low" or "medium" or "high" or "xhigh" or "max"; got "maximum"' },
  ],
  ['0 turns', { message: 'x', max_turns: 0 }, { max_turns: 'must be at least 1; got 0' }],
  ['a budget of 0', { message: 'x', max_budget_usd: 0 }, { max_budget_usd: 'must be more than 0; got 0' }],
  ['a list of MCP servers', { message: 'x', mcp_servers: [] }, { mcp_servers: 'must be an object; got an array' }],
  [
    'an MCP server that is no object',
    { message: 'x', mcp_servers: { a: 'https://example.com' } },
    { 'mcp_servers.a': 'must be an object; got "https://example.com"' },
  ],
  [
    'an MCP server with nothing in it',
    { message: 'x', mcp_servers: { a: {} } },
    { 'mcp_servers.a.url': 'is required: must be a string' },
  ],
  [
    'the name of the built-in tools',
    { message: 'x', mcp_servers: { picoclaw: { url: 'https://example.com' } } },
    { 'mcp_servers.picoclaw': 'must not be "picoclaw", which is the name of the built-in tools' },
  ],
  [
    'a name with a dot',
    { message: 'x', mcp_servers: { 'a.b': { url: 'https://example.com' } } },
    { 'mcp_servers.a.b': 'must be a name of 1 to 64 letters, digits, "_" or "-"' },
  ],
  [
    'a type that there is not',
    { message: 'x', mcp_servers: { a: { type: 'streamable-http', url: 'https://example.com' } } },
    { 'mcp_servers.a.type': 'must be "http" or "sse"; got "streamable-http"' },
  ],
  [
    'a URL of another scheme',
    { message: 'x', mcp_servers: { a: { url: 'file:///etc/passwd' } } },
    {
      'mcp_servers.a.url': 'must be an http or https URL without a user or password in it; got "file:///etc/passwd"',
    },
  ],
  [
    'a header that is a number',
    { message: 'x', mcp_servers: { a: { url: 'https://example.com', headers: { 'X-A': 1 } } } },
    { 'mcp_servers.a.headers.X-A': 'must be a string; got 1' },
  ],
  [
    'a header with a line break',
    { message: 'x', mcp_servers: { a: { url: 'https://example.com', headers: { 'X-A': 'b\r\nX-C: d' } } } },
    {
      'mcp_servers.a.headers.X-A': 'must be the value of an HTTP header, without line breaks; got "b\\r\\nX-C: d"',
    },
  ],
  [
    'a header name with a blank',
    { message: 'x', mcp_servers: { a: { url: 'https://example.com', headers: { 'X A': 'b' } } } },
    { 'mcp_servers.a.headers.X A': 'must be the name of an HTTP header' },
  ],
  [
    'an unknown field of an MCP server',
    { message: 'x', mcp_servers: { a: { url: 'https://example.com', timeout: 5 } } },
    { 'mcp_servers.a.timeout': 'is not a known field' },
  ],
  [
    'stdio without a command',
    { message: 'x', mcp_servers: { a: { type: 'stdio' } } },
    { 'mcp_servers.a.command': 'is required: must be a string' },
  ],
  [
    'arguments that are not strings',
    { message: 'x', mcp_servers: { a: { command: 'c', args: ['-p', 80] } } },
    { 'mcp_servers.a.args.1': 'must be a string; got 80' },
  ],
  [
    'an environment that is not strings',
    { message: 'x', mcp_servers: { a: { command: 'c', env: { PORT: 80 } } } },
    { 'mcp_servers.a.env.PORT': 'must be a string; got 80' },
  ],
  [
    'several faults at once',
    { stream: 'no', sender: 3, nope: 1 },
    {
      message: 'is required: must be a string',
      stream: 'must be true or false; got "no"',
      sender: 'must be a string; got 3',
      nope: 'is not a known field',
    },
  ],
];

describe('the body of POST /chat', () => {
  it.each(faulty)('with %s is a 400 that says what was given and what is wanted', async (_, body, faults) => {
    await using app = await startApp({ settings: { allowStdioMcp: true } });
    const before = app.rows();
    const answer = await app.post('/chat', body);
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual(faults);
    for (const path of Object.keys(faults)) expect(answer.body.detail).toContain(`${path}: `);
    expect(app.rows()).toEqual(before);
    expect(app.agent.requests).toEqual([]);
  });

  it.each([
    ['an array', '[]', 'must be an object; got an array'],
    ['a string', '"hello"', 'must be an object; got "hello"'],
    ['null', 'null', 'must be an object; got null'],
    ['a number', '1', 'must be an object; got 1'],
  ])('that is %s is a 400', async (_, text, message) => {
    await using app = await startApp();
    const answer = await chatText(app, text);
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual({ '': message });
  });

  it.each([
    ['not JSON', '{"message": "x"', /not valid JSON/],
    ['JSON with a comma too many', '{"message": "x",}', /not valid JSON/],
    ['NaN', '{"message": "x", "max_turns": NaN}', /not valid JSON/],
    ['a form', 'message=x', /not valid JSON/],
    ['not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), /not UTF-8/],
  ])('that is %s is malformed_json', async (_, body, detail) => {
    await using app = await startApp();
    const answer = await chatText(app, body);
    expectProblem(answer, 400, 'malformed_json');
    expect(answer.body.detail).toMatch(detail);
  });

  it('that is empty is a 400 that names it', async () => {
    await using app = await startApp();
    for (const init of [{}, { body: '', headers: json }]) {
      const answer = await app.send('/chat', { method: 'POST', ...init });
      expectProblem(answer, 400, 'invalid_request');
      expect(answer.body.detail).toBe('the body is empty; send a JSON object');
    }
  });

  it('with an infinite number is a 400', async () => {
    await using app = await startApp();
    const answer = await chatText(app, '{"message":"x","max_budget_usd":1e999}');
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual({ max_budget_usd: 'must be a number; got Infinity' });
  });

  it.each([
    ['a field twice', '{"message":"x","message":"y"}', { message: 'is given twice' }],
    [
      'a field twice, once escaped, deep down',
      '{"message":"x","mcp_servers":{"a":{"url":"http://a","headers":{"A":"1","\\u0041":"2"}}}}',
      { 'mcp_servers.a.headers.A': 'is given twice' },
    ],
    [
      'half a surrogate pair',
      '{"message":"a\\ud83d"}',
      { message: 'must be Unicode text, and has half of a surrogate pair in it' },
    ],
    ['U+0000', '{"message":"a\\u0000b"}', { message: 'must not hold the character U+0000' }],
  ])('with %s is a 400', async (_, text, faults) => {
    await using app = await startApp();
    const answer = await chatText(app, text);
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual(faults);
    expect(app.rows()).toMatchObject({ messages: 0, conversations: 0 });
  });

  it.each([
    ['a field', '{"message":"x","__proto__":{"stream":true}}', '__proto__'],
    ['an MCP server', '{"message":"x","mcp_servers":{"__proto__":{"url":"http://a"}}}', 'mcp_servers.__proto__'],
  ])('with __proto__ as the name of %s is a 400', async (_, text, path) => {
    await using app = await startApp();
    const answer = await chatText(app, text);
    expectProblem(answer, 400, 'invalid_request');
    expect(answer.body.errors).toEqual([{ path, message: 'is not a name that a field may have' }]);
  });

  it('with a field named constructor is a 400 like any other unknown field', async () => {
    await using app = await startApp();
    const answer = await chatText(app, '{"message":"x","constructor":{"prototype":{}}}');
    expect(faultsOf(answer.body)).toEqual({ constructor: 'is not a known field' });
  });

  it('may use constructor as the name of an MCP server', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'x', mcp_servers: { constructor: { url: 'https://example.com' } } });
    expect(app.agent.requests[0]?.options.mcpServers).toEqual({
      constructor: { type: 'http', url: 'https://example.com' },
    });
  });

  it('that is nested a hundred thousand levels deep is a 400', async () => {
    await using app = await startApp();
    const answer = await chatText(app, `{"message":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    expectProblem(answer, 400, 'invalid_request');
    expect(answer.body.detail).toContain('is nested more than 64 levels deep');
  });

  it('with faults without end is told the first 20 and how many more there are', async () => {
    await using app = await startApp();
    const answer = await app.post('/chat', Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`f${n}`, n])));
    expectProblem(answer, 400, 'invalid_request');
    expect(answer.body.errors).toHaveLength(20);
    expect(answer.body.detail).toMatch(/; and 9981 more faults$/);
  });

  it('with a name or an id of a megabyte is not echoed whole', async () => {
    await using app = await startApp();
    const long = 'x'.repeat(1_000_000);
    for (const body of [
      { message: 'x', [long]: 1 },
      { message: 'x', conversation_id: long },
    ])
      expect(JSON.stringify((await app.post('/chat', body)).body).length).toBeLessThan(2_000);
  });

  it('with an id of 501 characters is a 400, and of 500 one that is not known', async () => {
    await using app = await startApp();
    const known = await app.post('/chat', { message: 'x', conversation_id: 'x'.repeat(500) });
    expectProblem(known, 404, 'not_found');
    const long = await app.post('/chat', { message: 'x', conversation_id: 'x'.repeat(501) });
    expectProblem(long, 400, 'invalid_request');
    expect(Object.keys(faultsOf(long.body))).toEqual(['conversation_id']);
  });

  it('with a stdio server is a 403 that names the setting, and nothing is stored', async () => {
    await using app = await startApp();
    const before = app.rows();
    const answer = await app.post('/chat', { message: 'x', mcp_servers: { sh: { command: 'sh' } } });
    expectProblem(answer, 403, 'forbidden');
    expect(answer.body.detail).toContain('ALLOW_STDIO_MCP=true');
    expect(app.rows()).toEqual(before);
  });
});

describe('the content type of a body', () => {
  const body = JSON.stringify({ message: 'x' });

  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'APPLICATION/JSON;Charset="UTF-8"',
    'application/json ;',
  ])('may be %s', async (type) => {
    await using app = await startApp();
    expect((await chatText(app, body, { 'content-type': type })).status).toBe(200);
  });

  it('may be missing', async () => {
    await using app = await startApp();
    expect((await chatText(app, Buffer.from(body), {})).status).toBe(200);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/problem+json',
    'text/json',
    'application/json; charset=utf-16',
    'application/json, text/plain',
    '',
  ])('"%s" is a 415', async (type) => {
    await using app = await startApp();
    const answer = await chatText(app, Buffer.from(body), { 'content-type': type });
    expectProblem(answer, 415, 'unsupported_media_type');
    expect(answer.body).toMatchObject({
      detail: `send the body as application/json in UTF-8, or with no content type; got "${type}"`,
    });
  });

  it('with a content encoding is a 415', async () => {
    await using app = await startApp();
    const answer = await chatText(app, body, { ...json, 'content-encoding': 'gzip' });
    expectProblem(answer, 415, 'unsupported_media_type');
    expect(answer.body).toMatchObject({ detail: 'send the body without a content encoding; got "gzip"' });
  });
});

describe('a body of more than 1 MB', () => {
  const atLimit = (bytes: number) => `{"message":"${'x'.repeat(bytes - 14)}"}`;

  it('is a 413, one of exactly 1 MB is not', async () => {
    await using app = await startApp();
    expect(Buffer.byteLength(atLimit(1_048_576))).toBe(1_048_576);
    expect((await chatText(app, atLimit(1_048_576))).status).toBe(200);
    const before = app.rows();
    expectProblem(await chatText(app, atLimit(1_048_577)), 413, 'body_too_large');
    expect(app.rows()).toEqual(before);
  });

  it('is a 413 by what it declares, unread', async () => {
    await using app = await startApp();
    const unread = new ReadableStream(
      {
        pull: () => {
          throw new Error('the body was read');
        },
      },
      { highWaterMark: 0 },
    );
    const answer = await app.send('/chat', {
      method: 'POST',
      headers: { ...json, 'content-length': '1048577' },
      body: unread,
      duplex: 'half',
    });
    expectProblem(answer, 413, 'body_too_large');
  });

  it('is a 413 by counting where it declares nothing, and is read no further', async () => {
    await using app = await startApp();
    let chunks = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        chunks++;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const answer = await app.send('/control/stop', { method: 'POST', headers: json, body: endless, duplex: 'half' });
    expectProblem(answer, 413, 'body_too_large');
    expect(chunks).toBeLessThan(20);
    expect(app.stopReasons).toEqual([]);
  });
});

describe('query parameters', () => {
  it.each([
    ['GET', '/chat?limit=abc', { limit: 'must be an integer from 1 to 200; got "abc"' }],
    ['GET', '/chat?limit=0', { limit: 'must be an integer from 1 to 200; got "0"' }],
    ['GET', '/chat?limit=201', { limit: 'must be an integer from 1 to 200; got "201"' }],
    ['GET', '/chat?limit=-1', { limit: 'must be an integer from 1 to 200; got "-1"' }],
    ['GET', '/chat?limit=1.0', { limit: 'must be an integer from 1 to 200; got "1.0"' }],
    ['GET', '/chat?limit=', { limit: 'must be an integer from 1 to 200; got ""' }],
    ['GET', '/chat?limit=%zz', { limit: 'must be an integer from 1 to 200; got "%zz"' }],
    ['GET', '/chat?limit=1&limit=2', { limit: 'is given more than once' }],
    ['GET', '/chat?cursor=', { cursor: 'must not be empty; got ""' }],
    ['GET', '/chat?page=2', { page: 'is not a known field' }],
    ['GET', '/health?verbose', { verbose: 'is not a known field' }],
    ['GET', '/chat?constructor=1', { constructor: 'is not a known field' }],
    ['DELETE', '/chat/x?force=true', { force: 'is not a known field' }],
    ['GET', '/chat/x?limit=5', { limit: 'is not a known field' }],
  ])('%s %s is a 400', async (method, path, faults) => {
    await using app = await startApp();
    const answer = await app.send(path, { method });
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual(faults);
  });

  it('named __proto__ are a 400', async () => {
    await using app = await startApp();
    expect((await app.send('/chat?__proto__=1')).body.detail).toBe('__proto__: is not a known field');
  });

  it('of a route with a body are a 400 before it is read', async () => {
    await using app = await startApp();
    const answer = await app.post('/chat?stream=true', { message: 'x' });
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual({ stream: 'is not a known field' });
  });

  it.each(['nonsense', 'eyJzZXEiOjF9', '%ff', '1'])('cursor=%s, which no list returned, is a 400', async (cursor) => {
    await using app = await startApp();
    const answer = await app.send(`/chat?cursor=${cursor}`);
    expectProblem(answer, 400, 'invalid_request');
    expect(Object.keys(faultsOf(answer.body))).toEqual(['cursor']);
  });
});
