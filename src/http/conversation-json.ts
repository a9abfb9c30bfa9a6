/** Conversations and messages as a client reads them. */

import { z } from '@hono/zod-openapi';
import type { Conversation, Message } from '../domain/conversation.ts';
import { nextCursor } from './paging.ts';

const status = z.enum(['idle', 'running']);
const sessionId = z.string().nullable().openapi({ description: "The Agent SDK's session; null before the first run." });
const messageCount = z.int().openapi({ description: "The user's and the assistant's together." });
export const time = z.iso.datetime().openapi({ description: 'UTC', example: '2026-01-31T09:30:00.000Z' });

export const conversationResponse = z
  .strictObject({
    conversation_id: z.string(),
    session_id: sessionId,
    message_count: messageCount,
    last_activity: time,
    created_at: time,
    status,
  })
  .openapi('Conversation');

export const conversationList = z
  .strictObject({
    conversations: z.array(
      z
        .strictObject({
          id: z.string(),
          conversation_id: z.string().openapi({ description: '= `id`' }),
          session_id: sessionId,
          created_at: time,
          last_activity: time,
          message_count: messageCount,
          status,
        })
        .openapi('ConversationListItem'),
    ),
    next_cursor: nextCursor,
  })
  .openapi('ConversationList');

export const messageList = z
  .strictObject({
    conversation_id: z.string(),
    messages: z.array(
      z
        .strictObject({
          id: z.string(),
          conversation_id: z.string(),
          role: z.enum(['user', 'assistant']),
          sender: z.string(),
          sender_name: z.string(),
          content: z.string(),
          created_at: time,
        })
        .openapi('Message'),
    ),
    next_cursor: nextCursor,
  })
  .openapi('MessageList');

export function toConversationJson(conversation: Conversation): z.output<typeof conversationResponse> {
  return {
    conversation_id: conversation.id,
    session_id: conversation.sessionId,
    message_count: conversation.messageCount,
    last_activity: conversation.lastActivity,
    created_at: conversation.createdAt,
    status: conversation.status,
  };
}

export function toListItemJson(conversation: Conversation) {
  return { id: conversation.id, ...toConversationJson(conversation) };
}

export function toMessageJson(message: Message) {
  const { id, conversationId, role, sender, senderName, content, createdAt } = message;
  return { id, conversation_id: conversationId, role, sender, sender_name: senderName, content, created_at: createdAt };
}
