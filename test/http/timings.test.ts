/** What a response says of the time that it took; how long that was is nobody's affair here. */

import { describe, expect, it } from 'vitest';
import { collect } from '../support/frames.ts';
import { startApp } from '../support/http-app.ts';

const partsOf = (headers: Headers) =>
  (headers.get('server-timing') ?? '').split(', ').map((part) => part.replace(/;dur=\d+\.\d$/, ''));

describe('Server-Timing', () => {
  it.each([
    ['GET', '/health', 200],
    ['GET', '/chat', 200],
    ['GET', '/chat/nope', 404],
    ['GET', '/nope', 404],
    ['PATCH', '/chat', 405],
    ['POST', '/chat', 400],
  ])('of %s %s has the total alone', async (method, path, status) => {
    await using app = await startApp();
    const answer = await app.send(path, { method });
    expect(answer.status).toBe(status);
    expect(partsOf(answer.headers)).toEqual(['total']);
  });

  it('of a request without a token has the total too', async () => {
    await using app = await startApp({ settings: { apiTokens: ['secret'] } });
    const answer = await app.send('/chat');
    expect([answer.status, ...partsOf(answer.headers)]).toEqual([401, 'total']);
  });

  it('of a chat says what the agent took and what the volume did, and so does its line in the log', async () => {
    await using app = await startApp();
    const { headers } = await app.post('/chat', { message: 'x' }, { 'x-request-id': 'r' });
    expect(partsOf(headers)).toEqual(['sync', 'agent', 'total']);
    const line = await app.requestLine('r');
    expect(line).toMatchObject({ sync_ms: expect.any(Number), agent_ms: expect.any(Number) });
    expect(line).not.toHaveProperty('hydrate_ms');
  });

  it('of a stream says what there was to say when it began; the line in the log says the rest', async () => {
    await using app = await startApp();
    const run = app.agent.hold();
    const frames = await app.stream({ message: 'x' });
    const { headers } = frames.response;
    expect(partsOf(headers)).toEqual(['sync', 'total']);
    run.release();
    await collect(frames);
    expect(await app.requestLine(String(headers.get('x-request-id')))).toMatchObject({
      run_status: 'success',
      sync_ms: expect.any(Number),
      agent_ms: expect.any(Number),
    });
  });

  it('counts of two requests at once what each has waited for', async () => {
    await using app = await startApp();
    const run = app.agent.hold();
    const [chat, write] = await Promise.all([
      app.post('/chat', { message: 'x' }),
      run.reached.then(async ({ conversationId }) => {
        const sent = await app.post(`/chat/${conversationId}/outbound`, { text: 'hi' });
        run.release();
        return sent;
      }),
    ]);
    expect(partsOf(chat.headers)).toEqual(['sync', 'agent', 'total']);
    expect(partsOf(write.headers)).toEqual(['sync', 'total']);
  });
});
