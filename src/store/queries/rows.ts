/** Rows → domain: the one place where columns get their names in the code. */

import { z } from 'zod';
import type { Conversation, Message, OutboundMessage } from '../../domain/conversation.ts';
import { catalogue, type ProblemBody, type ProblemCode } from '../../domain/problem.ts';
import type { Run } from '../../domain/run.ts';
import type { ConversationRow, MessageRow, OutboundRow, RunRow } from './tables.ts';

export function toConversation(row: ConversationRow): Conversation {
  return {
    id: row.id,
    sessionId: row.session_id,
    createdAt: row.created_at,
    lastActivity: row.last_activity,
    messageCount: row.message_count,
    status: row.status,
  };
}

export function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    role: row.role,
    sender: row.sender,
    senderName: row.sender_name,
    content: row.content,
    createdAt: row.created_at,
  };
}

export function toRun(row: RunRow): Run {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    source: row.source,
    status: row.status,
    fencingToken: row.fencing_token,
    userMessageId: row.user_message_id,
    assistantMessageId: row.assistant_message_id,
    model: row.model,
    error: row.error === null ? null : toProblemBody(row.error),
    usage: {
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      cacheReadInputTokens: row.cache_read_input_tokens,
      cacheCreationInputTokens: row.cache_creation_input_tokens,
    },
    costUsd: row.cost_usd,
    numTurns: row.num_turns,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}

export function toOutboundMessage(row: OutboundRow): OutboundMessage {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    text: row.text,
    sender: row.sender,
    createdAt: row.created_at,
  };
}

const problemBody = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.custom<ProblemCode>((code) => typeof code === 'string' && Object.hasOwn(catalogue, code)),
  retryable: z.boolean(),
  error: z.string(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).exactOptional(),
  conversation_id: z.string().exactOptional(),
  task_id: z.string().exactOptional(),
  request_id: z.string().exactOptional(),
});

function toProblemBody(json: string): ProblemBody {
  return problemBody.parse(JSON.parse(json));
}
