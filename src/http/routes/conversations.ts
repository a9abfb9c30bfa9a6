/** GET /chat, GET /chat/:id, GET /chat/:id/messages, DELETE /chat/:id */

import type { z } from '@hono/zod-openapi';
import { type DeleteDeps, deleteConversation } from '../../conversations/delete.ts';
import { listConversations, listMessages, type ReadDeps, requireConversation } from '../../conversations/read.ts';
import { noteConversation } from '../context.ts';
import {
  conversationList,
  conversationResponse,
  messageList,
  toConversationJson,
  toListItemJson,
  toMessageJson,
} from '../conversation-json.ts';
import { conversationParams as params } from '../id-param.ts';
import { pageQuery, toListInput } from '../paging.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';

export type ConversationRouteDeps = { operations: ReadDeps & DeleteDeps };

const tag = 'Conversations';

export const listConversationsRoute = defineRoute({
  method: 'get',
  path: '/chat',
  operationId: 'listConversations',
  tag,
  summary: 'List conversations',
  description: 'Newest first.',
  params: none,
  query: pageQuery,
  body: noBody,
  store: 'reads',
  success: { 200: { description: 'One page.', content: { 'application/json': { schema: conversationList } } } },
  problems: [],
});

export const getConversationRoute = defineRoute({
  method: 'get',
  path: '/chat/{id}',
  operationId: 'getConversation',
  tag,
  summary: 'Get a conversation',
  description: 'Its state and counts; the messages have a route of their own.',
  params,
  query: none,
  body: noBody,
  store: 'reads',
  success: {
    200: { description: 'The conversation.', content: { 'application/json': { schema: conversationResponse } } },
  },
  problems: ['not_found'],
});

export const listMessagesRoute = defineRoute({
  method: 'get',
  path: '/chat/{id}/messages',
  operationId: 'listMessages',
  tag,
  summary: 'List the messages of a conversation',
  description: 'Oldest first.',
  params,
  query: pageQuery,
  body: noBody,
  store: 'reads',
  success: { 200: { description: 'One page.', content: { 'application/json': { schema: messageList } } } },
  problems: ['not_found'],
});

export const deleteConversationRoute = defineRoute({
  method: 'delete',
  path: '/chat/{id}',
  operationId: 'deleteConversation',
  tag,
  summary: 'Delete a conversation',
  description:
    "With its messages, outbound messages, tasks and their run log, and the agent's transcripts of it. Refused while a " +
    'run is active in it.',
  params,
  query: none,
  body: noBody,
  store: 'writes',
  success: { 204: { description: 'It is gone, from the volume too.' } },
  problems: ['not_found', 'conversation_busy'],
});

export function addConversationRoutes(app: App, { operations }: ConversationRouteDeps): void {
  addRoute(app, listConversationsRoute, async (c, { query }) => {
    const page = await listConversations(operations, toListInput(query));
    const answer: z.output<typeof conversationList> = {
      conversations: page.items.map(toListItemJson),
      next_cursor: page.nextCursor,
    };
    return c.json(answer);
  });

  addRoute(app, getConversationRoute, async (c, { params: { id } }) => {
    noteConversation(c, id);
    return c.json(toConversationJson(await requireConversation(operations, id)));
  });

  addRoute(app, listMessagesRoute, async (c, { params: { id }, query }) => {
    noteConversation(c, id);
    const page = await listMessages(operations, id, toListInput(query));
    const answer: z.output<typeof messageList> = {
      conversation_id: id,
      messages: page.items.map(toMessageJson),
      next_cursor: page.nextCursor,
    };
    return c.json(answer);
  });

  addRoute(app, deleteConversationRoute, async (c, { params: { id } }) => {
    noteConversation(c, id);
    await deleteConversation(operations, id);
    return c.body(null, 204);
  });
}
