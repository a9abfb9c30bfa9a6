/** What the model gateway counts of the answers that pass it. */

import type { ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { costOf, noCounts } from '../../src/agent/gateway/prices.ts';
import { noUsage } from '../../src/domain/run.ts';
import { eventsOf, startTestGateway, startUpstream, type TestGateway } from '../support/gateway-upstream.ts';

const post = { path: '/v1/messages?beta=true', body: '{"stream":true}' };
const model = 'claude-opus-4-5';
const usage = {
  input_tokens: 100,
  output_tokens: 1,
  cache_read_input_tokens: 1_000,
  cache_creation_input_tokens: 10,
};
const start = { type: 'message_start', message: { model, usage } };
const text = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'words' } };
const delta = (outputTokens: number) => ({ type: 'message_delta', delta: {}, usage: { output_tokens: outputTokens } });
const counted = (outputTokens: number) => ({
  inputTokens: 100,
  outputTokens,
  cacheReadInputTokens: 1_000,
  cacheCreationInputTokens: 10,
});

test('a stream counts its input from the start, and its output as the last word of it says', async () => {
  const passed = await meter(eventsOf(start, text, delta(20), text, delta(50), { type: 'message_stop' }));

  expect(passed.usage).toEqual(counted(50));
  expect(passed.models).toMatchObject([{ model, usage: counted(50) }]);
  expect(passed.costUsd).toBeCloseTo((100 * 5 + 50 * 25 + 1_000 * 0.5 + 10 * 6.25) / 1e6, 12);
});

test('it counts the same wherever the stream is cut into chunks, and whatever ends its lines', async () => {
  const stream = eventsOf(start, delta(50));
  for (const written of [
    stream,
    stream.replaceAll('\n', '\r\n'),
    stream.replaceAll('data: ', 'data:'),
    stream.trimEnd(),
  ]) {
    for (const size of [1, 7, 100]) {
      const chunks = Array.from({ length: Math.ceil(written.length / size) }, (_, at) =>
        written.slice(at * size, (at + 1) * size),
      );
      expect((await meter(...chunks)).usage).toEqual(counted(50));
    }
  }
});

test('an answer without streaming counts what its object says', async () => {
  const message = {
    type: 'message',
    model,
    content: [{ type: 'tool_use', input: { usage: { input_tokens: 9e9 } } }],
    usage,
  };
  const passed = await meterOf('application/json; charset=utf-8', JSON.stringify(message));

  expect(passed.usage).toEqual(counted(1));
});

test('what the model writes is not taken for a usage', async () => {
  const fake = JSON.stringify({ type: 'message_delta', usage: { output_tokens: 9e9 } });
  const texts = [`data: ${fake}`, `\n\ndata: ${fake}\n\n`, '"usage":{"output_tokens":9000000000}'];
  const written = texts.map((said) => ({ ...text, delta: { type: 'text_delta', text: said } }));

  expect((await meter(eventsOf(start, ...written, delta(50)))).usage).toEqual(counted(50));
});

test('an event longer than any with a usage is let go, and the next one is counted', async () => {
  const long = {
    type: 'content_block_start',
    content_block: { type: 'web_search_tool_result', data: 'x"message_'.repeat(300_000) },
  };

  expect((await meter(eventsOf(start, long, delta(50)))).usage).toEqual(counted(50));
});

const poor: [string, unknown][] = [
  ['missing', undefined],
  ['null', null],
  ['a text', 'none'],
  ['empty', {}],
  ['full of nulls', { input_tokens: null, output_tokens: null, cache_creation: null, server_tool_use: null }],
  ['negative', { input_tokens: -1, output_tokens: -1 }],
];

for (const [what, told] of poor) {
  test(`a usage that is ${what} counts as nothing, and takes nothing back`, async () => {
    const poorStart = { type: 'message_start', message: { model, usage: told } };
    const poorDelta = { type: 'message_delta', usage: told };

    expect((await meter(eventsOf(poorStart, poorDelta))).usage).toEqual(noUsage);
    expect((await meter(eventsOf(start, delta(50), poorDelta))).usage).toEqual(counted(50));
  });
}

const useless: [string, string, string][] = [
  ['text/html', '<p>data: {"type":"message_delta"}</p>', 'a page'],
  ['text/event-stream', 'data: {"type":"message_start"\n\ndata:\n\n: note\n\nid: 1', 'half an event'],
  ['application/json', '{"usage":', 'half an object'],
  ['application/json', '[]', 'another object'],
];

for (const [contentType, body, what] of useless) {
  test(`${what} counts nothing, and passes`, async () => {
    const passed = await meterOf(contentType, body);
    expect(passed).toEqual({ usage: noUsage, costUsd: 0, models: [] });
  });
}

test('what is not an answer of a model counts nothing', async () => {
  const message = JSON.stringify({ type: 'message', model, usage });
  await using upstream = await startUpstream(({ target }, outgoing) => {
    outgoing.writeHead(target.includes('fail') ? 500 : 200, { 'content-type': 'application/json' }).end(message);
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  await host.send({ ...post, path: '/v1/messages/count_tokens?beta=true' });
  await host.send({ method: 'GET', path: '/v1/models/claude-opus-4-5' });
  await host.send({ ...post, path: '/v1/messages?fail' });

  expect(host.pass.takeUsage()).toEqual({ usage: noUsage, costUsd: 0, models: [] });
});

test('an answer that is compressed, unasked, passes as it is; that it is not counted is logged', async () => {
  const body = gzipSync(eventsOf(start, delta(50)));
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end(body);
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  const answer = await host.send(post);

  expect(answer.headers['content-encoding']).toBe('gzip');
  expect(host.pass.takeUsage().models).toEqual([]);
  expect(host.log.join('')).toContain('not counted');
});

test('a stream that breaks off counts what it has told until then', async () => {
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    outgoing.write(eventsOf(start, text), () => outgoing.socket?.destroy());
  });
  await using host = await startTestGateway({ upstream: upstream.url });

  await expect(host.send(post)).rejects.toThrow('aborted');

  expect(host.pass.takeUsage().usage).toEqual(counted(1));
});

test('a take in the middle of an answer gets what is told by then, and the next one the rest', async () => {
  const answering = Promise.withResolvers<ServerResponse>();
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' });
    outgoing.write(eventsOf(start));
    answering.resolve(outgoing);
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  const answer = await host.open(post);
  const chunks = answer.iterator();
  await chunks.next();

  const first = host.pass.takeUsage();
  (await answering.promise).end(eventsOf(delta(50)));
  while (!(await chunks.next()).done);
  host.pass.revoke();
  const second = host.pass.takeUsage();

  expect(first.usage).toEqual(counted(1));
  expect(second.usage).toEqual({ ...noUsage, outputTokens: 49 });
  expect(second.costUsd).toBeCloseTo((49 * 25) / 1e6, 12);
  expect(host.pass.takeUsage()).toEqual({ usage: noUsage, costUsd: 0, models: [] });
});

test('every answer counts, by model and by pass; a model without a price leaves the cost of its kind open', async () => {
  await using upstream = await startUpstream(({ body }, outgoing) => {
    outgoing.writeHead(200, { 'content-type': 'application/json' });
    outgoing.end(JSON.stringify({ type: 'message', model: JSON.parse(body).model, usage: { input_tokens: 1_000 } }));
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  const other = host.gateway.admit();
  const ask = (name: string, placeholder = host.pass.placeholder) =>
    host.send({ ...post, body: JSON.stringify({ model: name }), placeholder });

  await ask('claude-haiku-4-5-20251001');
  await ask('claude-haiku-4-5-20251001');
  await ask('claude-opus-5-5');
  await ask('claude-opus-5-5', other.placeholder);

  const taken = host.pass.takeUsage();
  expect(taken.models.map(({ model: name, usage: spent }) => [name, spent.inputTokens])).toEqual([
    ['claude-haiku-4-5-20251001', 2_000],
    ['claude-opus-5-5', 1_000],
  ]);
  expect(taken.costUsd).toBeCloseTo(0.002 + 0.004, 12);
  expect(other.takeUsage()).toMatchObject({ usage: { inputTokens: 1_000 } });

  await ask('claude-opus-5-5');
  await ask('a-model-of-somebody-else');
  expect(host.pass.takeUsage()).toMatchObject({
    usage: { inputTokens: 2_000 },
    costUsd: null,
    models: [{ costUsd: 0.004 }, { model: 'a-model-of-somebody-else', costUsd: null }],
  });
});

const million = 1_000_000;
const costs: [string, string, Partial<typeof noCounts>, number | null][] = [
  ['input', 'claude-sonnet-4-5', { inputTokens: million }, 3],
  ['output', 'claude-sonnet-4-5', { outputTokens: million }, 15],
  ['reading the cache', 'claude-sonnet-4-5', { cacheReadInputTokens: million }, 0.3],
  ['writing it for minutes', 'claude-sonnet-4-5', { cacheCreationInputTokens: million }, 3.75],
  [
    'writing it for an hour',
    'claude-sonnet-4-5',
    { cacheCreationInputTokens: million, cacheCreation1hInputTokens: million },
    6,
  ],
  [
    'writing it half and half',
    'claude-sonnet-4-5',
    { cacheCreationInputTokens: million, cacheCreation1hInputTokens: million / 2 },
    4.875,
  ],
  ['searching', 'claude-sonnet-4-5', { webSearches: 100 }, 1],
  ['a prompt at the limit', 'claude-haiku-5-5', { inputTokens: 100_000 }, 0.01],
  ['a prompt beyond the limit', 'claude-haiku-5-5', { inputTokens: 100_001 }, 0.0500005],
  ['a cached prompt beyond it', 'claude-haiku-5-5', { cacheReadInputTokens: million, outputTokens: million }, 2.55],
  ['one region', 'claude-opus-5-5', { inputTokens: million, isRegional: true }, 4.4],
  ['speed', 'claude-opus-5-5', { inputTokens: million, isFast: true }, 8],
  ['speed that has no price', 'claude-sonnet-5', { inputTokens: million, isFast: true }, 2],
  ['a dated name', 'claude-opus-4-5-20251101', { inputTokens: million }, 5],
  ['another dated name', 'claude-sonnet-4-20250514', { inputTokens: million }, 3],
  ['an old name', 'claude-3-5-haiku-20241022', { inputTokens: million }, 0.8],
  ['another cloud’s name', 'us.anthropic.claude-sonnet-4-5-20250929-v1:0', { inputTokens: million }, 3],
  ['a third cloud’s name', 'claude-haiku-4-5@20251001', { inputTokens: million }, 1],
  ['a gateway’s name', 'anthropic/claude-opus-4.5', { inputTokens: million }, 5],
  ['a name with its window', 'claude-sonnet-4-5[1m]', { inputTokens: million }, 3],
  ['a newer model', 'claude-opus-9', { inputTokens: million }, null],
  ['a name that only begins alike', 'claude-opus-5-5-preview', { inputTokens: million }, null],
  ['a name that only ends alike', 'notclaude-opus-5-5', { inputTokens: million }, null],
  ['a word of JavaScript', 'claude-constructor', { inputTokens: million }, null],
  ['no name', '', { inputTokens: million }, null],
];

for (const [what, name, counts, costUsd] of costs) {
  test(`${what} (${name || 'nothing'}) costs ${costUsd}`, () => {
    const cost = costOf(name, { ...noCounts, ...counts });
    if (costUsd === null) expect(cost).toBeNull();
    else expect(cost).toBeCloseTo(costUsd, 9);
  });
}

test('the kinds of tokens that cost more are found in what the API says', async () => {
  const told = {
    ...usage,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 10 },
    server_tool_use: { web_search_requests: 2 },
    inference_geo: 'us',
    speed: 'fast',
  };
  const name = 'claude-opus-5-5';
  const passed = await meter(eventsOf({ type: 'message_start', message: { model: name, usage: told } }));

  expect(passed.costUsd).toBeCloseTo(((100 * 8 + 1 * 40 + 1_000 * 0.4 + 10 * 16) / 1e6) * 1.1 + 0.02, 12);
});

function meter(...chunks: string[]): Promise<ReturnType<TestGateway['pass']['takeUsage']>> {
  return meterOf('text/event-stream; charset=utf-8', ...chunks);
}

/** What is counted of an answer like this one. */
async function meterOf(
  contentType: string,
  ...chunks: string[]
): Promise<ReturnType<TestGateway['pass']['takeUsage']>> {
  await using upstream = await startUpstream((_, outgoing) => {
    outgoing.writeHead(200, { 'content-type': contentType });
    for (const chunk of chunks) outgoing.write(chunk);
    outgoing.end();
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  expect((await host.send(post)).text).toBe(chunks.join(''));
  return host.pass.takeUsage();
}
