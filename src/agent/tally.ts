/**
 * What a run's messages add up to: model, usage, cost, warnings, and the last word about a failing API. Pure.
 *
 * Usage and cost come from `model_usage_since_last_result`, which counts every model call of this run and of no other,
 * subagents included; `modelUsage` and `total_cost_usd` go on counting over a session's resumes. The SDK does not type
 * it, so it is parsed, and the main loop's own counts stand in where it is missing (a run that was cut off).
 */

import type { SDKAssistantMessageError, SDKMessage, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import { z } from 'zod';
import { noUsage, type Usage } from '../domain/run.ts';
import { isByCli } from './translate.ts';

export type Tally = {
  model: string | null;
  /** The model's message that is being told. */
  messageId: string | null;
  /** The last of its messages that has text; null when it has said nothing. */
  lastTextId: string | null;
  /** The main loop's, message by message; for a run without a result. */
  streamedUsage: Usage;
  /** Messages of the model in the main loop: round trips. */
  turns: number;
  /** Whether the model API is being waited for, rather than a tool. */
  awaitsModel: boolean;
  /** Whether a tool was called, by the agent or by a subagent. */
  usedTools: boolean;
  /** The last API error that the CLI told of, in its own classes. */
  apiError: { kind: SDKAssistantMessageError; status: number | null; text: string } | null;
  warnings: string[];
};

export const emptyTally: Tally = {
  model: null,
  messageId: null,
  lastTextId: null,
  streamedUsage: noUsage,
  turns: 0,
  awaitsModel: false,
  usedTools: false,
  apiError: null,
  warnings: [],
};

export function observe(tally: Tally, message: SDKMessage): Tally {
  switch (message.type) {
    case 'system':
      return observeSystem(tally, message);
    case 'stream_event':
      return message.parent_tool_use_id === null ? observeStream(tally, message.event) : tally;
    case 'assistant': {
      const usesTool = message.message.content.some((block) => block.type === 'tool_use');
      const usedTools = tally.usedTools || usesTool;
      if (message.parent_tool_use_id !== null) return { ...tally, usedTools };
      if (!isByCli(message)) {
        // A message without a stream has no event that ends it; with a tool in it, the tool is what is waited for.
        const hasText = message.message.content.some((block) => block.type === 'text');
        const { model, id } = message.message;
        const lastTextId = hasText ? id : tally.lastTextId;
        const awaitsModel = tally.awaitsModel && !usesTool;
        return { ...tally, model, lastTextId, usedTools, apiError: null, awaitsModel };
      }
      if (message.error === undefined) return tally;
      const texts = message.message.content.flatMap((block) => (block.type === 'text' ? [block.text] : []));
      const status = tally.apiError?.status ?? null;
      return { ...tally, apiError: { kind: message.error, status, text: texts.join('\n') } };
    }
    default:
      return tally;
  }
}

/** The usage and the estimated cost of this run alone. */
export function totalsOf(tally: Tally, result: SDKResultMessage | null): { usage: Usage; costUsd: number } {
  const counted = z.looseObject({ model_usage_since_last_result: z.record(z.string(), modelUsage) }).safeParse(result);
  if (!counted.success) return { usage: tally.streamedUsage, costUsd: 0 };
  const models = Object.values(counted.data.model_usage_since_last_result);
  return {
    usage: models.reduce(addUsage, noUsage),
    costUsd: models.reduce((sum, model) => sum + model.costUSD, 0),
  };
}

const tokens = z.number().int().nonnegative();
const modelUsage = z.looseObject({
  inputTokens: tokens,
  outputTokens: tokens,
  cacheReadInputTokens: tokens,
  cacheCreationInputTokens: tokens,
  costUSD: z.number().nonnegative(),
});

function observeSystem(tally: Tally, message: Extract<SDKMessage, { type: 'system' }>): Tally {
  switch (message.subtype) {
    case 'init': {
      const lost = message.mcp_servers.filter((server) => server.status !== 'connected');
      const warnings = lost.map(({ name, status }) => `MCP server "${name}" is not available (${status})`);
      return { ...tally, model: message.model, warnings };
    }
    case 'status':
      return { ...tally, awaitsModel: true };
    case 'api_retry':
      return {
        ...tally,
        awaitsModel: true,
        apiError: { kind: message.error, status: message.error_status, text: '' },
      };
    default:
      return tally;
  }
}

function observeStream(tally: Tally, event: Extract<SDKMessage, { type: 'stream_event' }>['event']): Tally {
  switch (event.type) {
    case 'message_start': {
      const started = { ...readUsage(event.message.usage), outputTokens: 0 };
      const streamedUsage = addUsage(tally.streamedUsage, started);
      return { ...tally, awaitsModel: true, messageId: event.message.id, turns: tally.turns + 1, streamedUsage };
    }
    case 'content_block_delta':
      return event.delta.type === 'text_delta' ? { ...tally, lastTextId: tally.messageId } : tally;
    case 'message_delta': {
      const written = { ...noUsage, outputTokens: readUsage(event.usage).outputTokens };
      return { ...tally, awaitsModel: false, streamedUsage: addUsage(tally.streamedUsage, written) };
    }
    default:
      return tally;
  }
}

/** The counts of the model API itself. A gateway in its place may leave some out, or all: they count as nothing. */
const apiUsage = z
  .looseObject({
    input_tokens: tokens.catch(0),
    output_tokens: tokens.catch(0),
    cache_read_input_tokens: tokens.catch(0),
    cache_creation_input_tokens: tokens.catch(0),
  })
  .transform(
    (usage): Usage => ({
      inputTokens: usage.input_tokens,
      outputTokens: usage.output_tokens,
      cacheReadInputTokens: usage.cache_read_input_tokens,
      cacheCreationInputTokens: usage.cache_creation_input_tokens,
    }),
  );

function readUsage(usage: unknown): Usage {
  return apiUsage.catch(noUsage).parse(usage);
}

function addUsage(a: Usage, b: Usage): Usage {
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    cacheReadInputTokens: a.cacheReadInputTokens + b.cacheReadInputTokens,
    cacheCreationInputTokens: a.cacheCreationInputTokens + b.cacheCreationInputTokens,
  };
}
