/** What a run's messages add up to, whatever the API leaves out of them. */

import type { SDKMessage } from '@anthropic-ai/claude-agent-sdk';
import { expect, test } from 'vitest';
import { emptyTally, observe, type Tally } from '../../src/agent/tally.ts';
import { noUsage } from '../../src/domain/run.ts';

type Loose = { type: string; [member: string]: unknown };

const init: Loose = { type: 'system', subtype: 'init', model: 'claude-test', mcp_servers: [] };
const status: Loose = { type: 'system', subtype: 'status', status: 'requesting' };
const retry: Loose = { type: 'system', subtype: 'api_retry', error: 'overloaded', error_status: 529 };
const text: Loose = { type: 'text', text: 'words' };
const tool: Loose = { type: 'tool_use', id: 't', name: 'Bash', input: {} };

const whole = {
  input_tokens: 1,
  output_tokens: 2,
  cache_read_input_tokens: 3,
  cache_creation_input_tokens: 4,
};

test('the counts of every message are added, the input’s from its start and the output’s from its end', () => {
  const tally = tallied(
    start(whole),
    delta({ ...whole, output_tokens: 20 }),
    start(whole),
    delta({ ...whole, output_tokens: 30 }),
  );
  expect(tally.streamedUsage).toEqual({
    inputTokens: 2,
    outputTokens: 50,
    cacheReadInputTokens: 6,
    cacheCreationInputTokens: 8,
  });
});

const poor: [string, unknown][] = [
  ['missing', undefined],
  ['null', null],
  ['empty', {}],
  ['a text', 'none'],
  ['full of nulls', { input_tokens: null, output_tokens: null, cache_read_input_tokens: null }],
  ['negative', { input_tokens: -1, output_tokens: -1 }],
  ['no number', { input_tokens: 'many', output_tokens: Number.NaN }],
];

for (const [what, usage] of poor) {
  test(`a usage that is ${what} counts as nothing`, () => {
    expect(tallied(start(usage), delta(usage)).streamedUsage).toEqual(noUsage);
    expect(tallied(start(whole), delta(usage), start(usage)).streamedUsage).toMatchObject({
      inputTokens: 1,
      outputTokens: 0,
    });
  });
}

test('what a usage has is counted, whatever else it lacks', () => {
  const tally = tallied(start({ input_tokens: 5 }), delta({ output_tokens: 6, input_tokens: null }));
  expect(tally.streamedUsage).toEqual({ ...noUsage, inputTokens: 5, outputTokens: 6 });
});

test('each message of the main loop is a round trip to the model, a subagent’s is none', () => {
  const ofSubagent = { ...start(whole), parent_tool_use_id: 't' };
  expect(tallied(init, status).turns).toBe(0);
  expect(tallied(start(whole), ofSubagent, delta(whole), start(whole)).turns).toBe(2);
});

const waiting: [string, Loose[], boolean][] = [
  ['a request', [status], true],
  ['a retry', [retry], true],
  ['a message that streams', [status, start(whole)], true],
  ['a message that was streamed', [status, start(whole), assistant([tool]), delta(whole)], false],
  ['an unstreamed message with a tool call', [status, assistant([tool])], false],
  ['an unstreamed message without one', [status, assistant([text])], true],
  ['the first block of an unstreamed message', [status, assistant([text]), assistant([tool])], false],
  ['a tool call of a subagent', [status, { ...assistant([tool]), parent_tool_use_id: 't' }], true],
  ['a request after a tool call', [status, assistant([tool]), status], true],
];

for (const [what, messages, expected] of waiting) {
  test(`after ${what} the model is ${expected ? '' : 'not '}waited for`, () => {
    expect(tallied(...messages).awaitsModel).toBe(expected);
  });
}

const spoken: [string, Loose[], boolean][] = [
  ['a start', [init, status, start(whole)], false],
  ['a delta of text', [start(whole), stream({ type: 'content_block_delta', delta: { type: 'text_delta' } })], true],
  [
    'a delta of thinking',
    [start(whole), stream({ type: 'content_block_delta', delta: { type: 'thinking_delta' } })],
    false,
  ],
  ['a tool call alone', [start(whole), assistant([tool])], false],
  ['an unstreamed message', [assistant([text])], true],
  ['an API error that the CLI tells of', [init, { ...assistant([text]), error: 'server_error' }], false],
];

for (const [what, messages, expected] of spoken) {
  test(`after ${what} the model has ${expected ? '' : 'not '}spoken`, () => {
    expect(tallied(...messages).lastTextId !== null).toBe(expected);
  });
}

function tallied(...messages: Loose[]): Tally {
  // The SDK's message types are too wide to build in a test; only the members that are read are given.
  return messages.reduce((tally, message) => observe(tally, message as unknown as SDKMessage), emptyTally);
}

function stream(event: Loose): Loose {
  return { type: 'stream_event', event, parent_tool_use_id: null };
}

function start(usage: unknown): Loose {
  return stream({ type: 'message_start', message: { id: 'm', usage } });
}

function delta(usage: unknown): Loose {
  return stream({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage });
}

function assistant(content: Loose[]): Loose {
  return { type: 'assistant', message: { id: 'm', model: 'claude-test', content }, parent_tool_use_id: null };
}
