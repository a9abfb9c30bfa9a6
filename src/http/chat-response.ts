/** The answer to POST /chat, in JSON and as the data of the event `done`: its schema and the one place that makes it. */

import { z } from '@hono/zod-openapi';
import type { OutboundMessage } from '../domain/conversation.ts';
import type { RunOutcome, ToolUse } from '../domain/outcome.ts';
import type { TerminalRunStatus, Usage } from '../domain/run.ts';

export const outboundMessage = z
  .strictObject({
    id: z.string(),
    conversation_id: z.string().nullable().openapi({ description: "Null for a task's isolated run, which has none." }),
    text: z.string(),
    sender: z.string().nullable(),
    created_at: z.iso.datetime(),
  })
  .openapi('OutboundMessage', { description: 'A message that the agent sent while it worked.' });

export const toolUse = z.strictObject({ tool: z.string(), input: z.unknown() }).openapi('ToolUse', {
  description: 'A tool that the agent used, and what it gave to it.',
  // An input that may be anything would count as one that may be absent.
  required: ['tool', 'input'],
});

export const answerStatus = z.enum(['success', 'timeout', 'error']).openapi({
  description: '`error` also for a run that a shutdown ended; `error_code` tells which.',
});

export const errorCode = z.string().openapi({ description: 'The same for programs; see `code` of Problem.' });

export const usage = z
  .strictObject({
    input_tokens: z.int(),
    output_tokens: z.int(),
    cache_read_input_tokens: z.int(),
    cache_creation_input_tokens: z.int(),
  })
  .openapi('Usage', { description: 'Tokens of the whole run, as the model API counted them.' });

export const costUsd = z.number().openapi({ description: "An estimate by the Agent SDK's price list." });
export const numTurns = z.int().openapi({ description: 'Round trips to the model.' });

export const warnings = z.array(z.string()).openapi({
  description: 'What did not fail the run but should be known, such as an MCP server that did not connect.',
});

export const chatResponse = z
  .strictObject({
    status: answerStatus,
    conversation_id: z.string(),
    message_id: z.string().openapi({ description: "The assistant's message; the user's where no reply was stored." }),
    result: z.string().nullable().openapi({
      description: 'The text of the reply, less `<internal>` blocks; as far as it came, if the run was cut off.',
    }),
    model: z.string().nullable(),
    session_id: z.string().nullable().openapi({ description: "The Agent SDK's session." }),
    duration_ms: z.int(),
    error: z.string().optional().openapi({ description: 'What went wrong, in words; absent on success.' }),
    error_code: errorCode.optional(),
    outbound_messages: z.array(outboundMessage),
    session_end_marker: z.string().openapi({ description: 'SESSION_END_MARKER of the server; empty when it is off.' }),
    session_end_marker_detected: z.boolean(),
    run_id: z.string(),
    usage,
    cost_usd: costUsd,
    num_turns: numTurns,
    tool_uses: z.array(toolUse).optional().openapi({ description: 'With `show_tool_use`.' }),
    thinking: z.string().optional().openapi({ description: 'With `thinking`, where the answer is not streamed.' }),
    warnings: warnings.optional(),
  })
  .openapi('ChatResponse');

export type ChatResponse = z.output<typeof chatResponse>;

/** What the caller asked to see. */
export type AnswerView = { stream: boolean; thinking: boolean; toolUse: boolean };

export function toChatResponse(
  outcome: RunOutcome,
  input: { view: AnswerView; sessionEndMarker: string },
): ChatResponse {
  const { view } = input;
  if (outcome.conversationId === null) throw new Error(`run ${outcome.runId} is no chat: it has no conversation`);
  return {
    status: toAnswerStatus(outcome.status),
    conversation_id: outcome.conversationId,
    message_id: outcome.messageId,
    result: outcome.result,
    model: outcome.model,
    session_id: outcome.sessionId,
    duration_ms: outcome.durationMs,
    ...(outcome.error ? { error: outcome.error.detail, error_code: outcome.error.code } : {}),
    outbound_messages: outcome.outboundMessages.map(toOutboundJson),
    session_end_marker: input.sessionEndMarker,
    session_end_marker_detected: outcome.sessionEndMarkerDetected,
    run_id: outcome.runId,
    usage: toUsageJson(outcome.usage),
    cost_usd: outcome.costUsd,
    num_turns: outcome.numTurns,
    ...(view.toolUse ? { tool_uses: outcome.toolUses.map(toToolUse) } : {}),
    ...(view.thinking && !view.stream ? { thinking: outcome.thinking } : {}),
    ...(outcome.warnings.length > 0 ? { warnings: outcome.warnings } : {}),
  };
}

export function toAnswerStatus(status: TerminalRunStatus): ChatResponse['status'] {
  switch (status) {
    case 'success':
    case 'timeout':
    case 'error':
      return status;
    case 'cancelled':
    case 'interrupted':
      return 'error';
    default:
      return status satisfies never;
  }
}

export function toOutboundJson(message: OutboundMessage) {
  const { id, conversationId, text, sender, createdAt } = message;
  return { id, conversation_id: conversationId, text, sender, created_at: createdAt };
}

export function toUsageJson(of: Usage): z.output<typeof usage> {
  return {
    input_tokens: of.inputTokens,
    output_tokens: of.outputTokens,
    cache_read_input_tokens: of.cacheReadInputTokens,
    cache_creation_input_tokens: of.cacheCreationInputTokens,
  };
}

/** An input that is absent is told as null: the member is always there. */
function toToolUse({ tool, input }: ToolUse) {
  return { tool, input: input ?? null };
}
