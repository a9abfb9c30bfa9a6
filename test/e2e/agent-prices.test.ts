/**
 * What the model gateway counts and estimates, beside what the real claude program does of the same answers: where a new
 * version of it has other prices, this fails and says which.
 */

import { query, type SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import { expect, test } from 'vitest';
import type { Metered } from '../../src/agent/gateway/meter.ts';
import { eventsOf, startTestGateway, startUpstream, testKey } from '../support/gateway-upstream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** Of each kind of token another number, so that no two mistakes cancel out. */
const mixed = {
  input_tokens: 10_000,
  output_tokens: 3_000,
  cache_read_input_tokens: 20_000,
  cache_creation_input_tokens: 5_000,
  cache_creation: { ephemeral_5m_input_tokens: 3_000, ephemeral_1h_input_tokens: 2_000 },
  server_tool_use: { web_search_requests: 1 },
};

const asked: [string, string | null, object][] = [
  ['the model that it takes by itself', null, mixed],
  ['its opus, fast and in one region', 'opus', { ...mixed, speed: 'fast', inference_geo: 'us' }],
  ['its sonnet', 'sonnet', mixed],
  ['its haiku', 'haiku', mixed],
  ['its haiku, after a long prompt', 'haiku', { ...mixed, cache_read_input_tokens: 200_000 }],
];

for (const [what, model, usage] of asked) {
  test(`the claude program counts and prices ${what} as the gateway does`, async () => {
    const { result, metered } = await run(model, usage);

    expect(metered.usage).toEqual({
      inputTokens: result.usage.input_tokens,
      outputTokens: result.usage.output_tokens,
      cacheReadInputTokens: result.usage.cache_read_input_tokens,
      cacheCreationInputTokens: result.usage.cache_creation_input_tokens,
    });
    expect(Object.keys(result.modelUsage)).toEqual(metered.models.map((spent) => spent.model));
    expect(result.total_cost_usd).toBeGreaterThan(0);
    expect(metered.costUsd).toBeCloseTo(result.total_cost_usd, 9);
  });
}

/** One prompt to the real claude process, which has a placeholder for its key. */
async function run(model: string | null, usage: object): Promise<{ result: SDKResultMessage; metered: Metered }> {
  await using upstream = await startUpstream(({ headers, body }, outgoing) => {
    if (headers['x-api-key'] !== testKey) return void outgoing.writeHead(401).end();
    outgoing.writeHead(200, { 'content-type': 'text/event-stream' }).end(answerOf(JSON.parse(body).model, usage));
  });
  await using host = await startTestGateway({ upstream: upstream.url });
  const folder = temporaryFolder();
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    CLAUDE_CONFIG_DIR: folder,
    ANTHROPIC_BASE_URL: host.gateway.url,
    ANTHROPIC_API_KEY: host.pass.placeholder,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    CLAUDE_CODE_MAX_RETRIES: '0',
  };
  const options = { env, cwd: folder, tools: [], settingSources: [], ...(model === null ? {} : { model }) };

  for await (const message of query({ prompt: 'hello', options })) {
    if (message.type === 'result') return { result: message, metered: host.pass.takeUsage() };
  }
  throw new Error('the claude process ended without a result');
}

function answerOf(model: string, usage: object): string {
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model, content: [], stop_reason: null };
  return eventsOf(
    { type: 'message_start', message: { ...message, stop_sequence: null, usage: { ...usage, output_tokens: 1 } } },
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hi.' } },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  );
}
