/** How a run ends when the model API, the network or the claude process fails. */

import { createServer, type Server } from 'node:http';
import { expect, test } from 'vitest';
import { startAgentHost, testCredential } from '../support/agent-host.ts';
import { startModel } from '../support/model.ts';

const story = 'This is a story that is long enough to be cut in two.';

for (const kind of ['reset', 'end'] as const) {
  test(`a stream that breaks (${kind}) begins anew: the text so far is void, the answer is whole`, async () => {
    await using host = await startAgentHost();
    host.model.mock.on({ userMessage: /story/ }, { content: story });
    const cut = host.model.fault({ kind, afterDeltas: 3, held: true });

    const ran = await host.run('story', { onEvent: (event) => event.type === 'text' && cut.release() });

    expect(ran.result).toMatchObject({ outcome: 'success', error: null });
    expect(ran.text).toBe(story);
    expect(ran.events.map((event) => event.type).filter((type) => type !== 'text')).toEqual(['message', 'restart']);
  });
}

test('a stream that ends in an error is asked for again without streaming, and the answer is whole', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  const cut = host.model.fault({ kind: 'error_event', afterDeltas: 3, held: true });

  const ran = await host.run('story', { onEvent: (event) => event.type === 'text' && cut.release() });

  expect(ran.result).toMatchObject({ outcome: 'success', error: null });
  expect(ran.text).toBe(story);
  expect(ran.events.at(-1)).toEqual({ type: 'text', text: story });
  expect(host.model.requests().map((request) => request.body.stream ?? false)).toEqual([true, false]);
});

for (const kind of ['reset', 'end', 'error_event'] as const) {
  test(`a stream that breaks (${kind}) in a tool call keeps the text before it, and the model goes on`, async () => {
    await using host = await startAgentHost();
    const call = { name: 'Bash', arguments: JSON.stringify({ command: 'true', description: 'Nothing' }) };
    host.model.mock.on({ userMessage: /story/ }, { content: 'Let me see. ', toolCalls: [call] });
    host.model.mock.on({ userMessage: /was cut off/ }, { content: 'Here it is.' });
    const cut = host.model.fault({ kind, afterDeltas: 3, held: true });

    const ran = await host.run('story', { onEvent: (event) => event.type === 'text' && cut.release() });

    expect(ran.result).toMatchObject({ outcome: 'success' });
    expect(ran.text).toBe('Let me see. Here it is.');
    expect(ran.events.filter((event) => event.type === 'tool_use')).toEqual([]);
  });
}

const refusals = [
  { status: 400, error: 'invalid_request_error', code: 'model_refused', says: 'scripted words' },
  { status: 404, error: 'not_found_error', code: 'model_refused', says: 'model' },
  { status: 413, error: 'request_too_large', code: 'model_refused', says: '' },
  { status: 429, error: 'rate_limit_error', code: 'model_rate_limited', says: 'rate' },
  { status: 500, error: 'api_error', code: 'model_failed', says: 'failed' },
  { status: 529, error: 'overloaded_error', code: 'model_overloaded', says: 'overloaded' },
] as const;

for (const { status, error, code, says } of refusals) {
  test(`a ${status} of the model API ends the run as ${code}, and its words are no answer`, async () => {
    await using host = await startAgentHost({ limits: { maxRetries: 1 } });
    host.model.mock.on({ userMessage: /after/ }, { content: 'Better now.' });
    host.model.fault({ kind: 'status', status, error, message: 'scripted words', times: 9, when: isAbout('trouble') });

    const ran = await host.run('trouble');

    expect(ran.result).toMatchObject({ outcome: 'error', error: { code }, promptTaken: true });
    expect(ran.result.error?.detail).toContain(says);
    expect(ran.text).toBe('');
    expect(await host.processes()).toEqual([]);

    const next = await host.run('after the failure', { sessionId: ran.sessionId, resume: true });
    expect(next.result).toMatchObject({ outcome: 'success', freshBecause: null });
    expect(host.model.requests().at(-1)?.raw).not.toContain('API Error');
  });
}

for (const status of [401, 403]) {
  test(`a key that the model API refuses with ${status} is told at once, without retries`, async () => {
    await using host = await startAgentHost({ limits: { maxRetries: 9 } });
    const message = `invalid x-api-key ${testCredential}`;
    host.model.fault({ kind: 'status', status, error: 'authentication_error', message, times: 9 });

    const ran = await host.run('hello');

    expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_auth', retryable: false } });
    expect(JSON.stringify(ran.result)).not.toContain(testCredential);
    expect(host.model.requests().length).toBeLessThanOrEqual(2);
    expect(await host.processes()).toEqual([]);
  });
}

test('a model API that nobody listens at is unreachable', async () => {
  const gone = await startModel();
  await gone.stop();
  await using host = await startAgentHost({ anthropicBaseUrl: gone.url, limits: { maxRetries: 1 } });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_unreachable', retryable: true } });
});

test('a stream that breaks at every try is an API that cannot be reached', async () => {
  await using host = await startAgentHost({ limits: { maxRetries: 1 } });
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  host.model.fault({ kind: 'reset', afterDeltas: 3, times: 9 });

  const ran = await host.run('story');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_unreachable' } });
});

test('something else than a model API at its address is told as its failure', async () => {
  const page = createServer((incoming, outgoing) => {
    incoming.resume();
    outgoing.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
  });
  await new Promise<void>((resolve) => page.listen(0, '127.0.0.1', resolve));
  await using host = await startAgentHost({ anthropicBaseUrl: urlOf(page), limits: { maxRetries: 0 } });

  const ran = await host.run('hello');
  page.closeAllConnections();
  page.close();

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_failed' } });
  expect(ran.text).toBe('');
});

test('an answer that the model declines is an error that says so', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'I', finishReason: 'refusal' });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_refused' } });
  expect(ran.result.error?.detail).toContain('declined');
});

test('a stream that stops in the middle ends clearly, by the CLI’s watch over bytes', async () => {
  await using host = await startAgentHost({ limits: { streamIdleMs: 3_000, maxRetries: 0 } });
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  host.model.fault({ kind: 'stall', afterDeltas: 3 });

  const ran = await host.run('story');

  expect(ran.result).toMatchObject({ outcome: 'success' });
  expect(ran.text).toBe(story);
  expect(host.model.requests().map((request) => request.body.stream ?? false)).toEqual([true, false]);
});

test('a model API that says nothing at all ends the run by our own deadline', async () => {
  await using host = await startAgentHost({ limits: { silenceMs: 5_000 } });
  host.model.mock.on({ userMessage: /story/ }, { content: story });
  host.model.fault({ kind: 'hold' });

  const ran = await host.run('story');

  expect(ran.result).toMatchObject({ outcome: 'error', error: { code: 'model_unreachable' }, promptTaken: true });
  expect(await host.processes()).toEqual([]);
});

test('a tool that works longer than the model may be silent is left to work', async () => {
  await using host = await startAgentHost({ limits: { silenceMs: 5_000 } });
  const call = { name: 'Bash', arguments: JSON.stringify({ command: 'sleep 6', description: 'Wait' }) };
  host.model.mock.on({ userMessage: /slow/, hasToolResult: false }, { toolCalls: [call] });
  host.model.mock.on({ userMessage: /slow/, hasToolResult: true }, { content: 'Done.' });

  const ran = await host.run('slow');

  expect(ran.result).toMatchObject({ outcome: 'success' });
});

test('the fallback model answers when the first is overloaded', async () => {
  await using host = await startAgentHost({ defaultModel: 'claude-opus-4-8', fallbackModel: 'claude-haiku-4-5' });
  host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
  const when = (request: { body: { model: string } }) => request.body.model === 'claude-opus-4-8';
  host.model.fault({ kind: 'status', status: 529, error: 'overloaded_error', times: 9, when });

  const ran = await host.run('hello');

  expect(ran.result).toMatchObject({ outcome: 'success', model: 'claude-haiku-4-5' });
  expect(ran.text).toBe('Hi.');
});

function urlOf(server: Server): string {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return `http://127.0.0.1:${address.port}`;
}

function isAbout(word: string) {
  return (request: { raw: string }) => request.raw.includes(word) && !request.raw.includes('after the failure');
}
