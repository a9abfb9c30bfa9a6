/** POST /chat/:id/outbound */

import { z } from '@hono/zod-openapi';
import { type SendMessageDeps, sendMessage } from '../../conversations/send-message.ts';
import { outboundMessage, toOutboundJson } from '../chat-response.ts';
import { noteConversation } from '../context.ts';
import { conversationParams } from '../id-param.ts';
import { type App, addRoute, defineRoute, none } from '../route.ts';
import { name } from '../text-fields.ts';

export type OutboundRouteDeps = { operations: SendMessageDeps };

const sendMessageRequest = z
  .strictObject({
    text: z.string().openapi({ description: 'Not blank.', example: 'The deployment is through.' }),
    sender: name
      .optional()
      .openapi({ description: 'Who speaks; null in the message without it.', example: 'deployer' }),
  })
  .openapi('SendMessageRequest');

export const sendMessageRoute = defineRoute({
  method: 'post',
  path: '/chat/{id}/outbound',
  operationId: 'sendMessage',
  tag: 'Conversations',
  summary: 'Queue a message for delivery',
  description:
    "As the agent's `send_message` does: it comes at once to a client that streams a run of the conversation, and once in " +
    '`outbound_messages` of the next answer. The model is not told of it. It is kept for OUTBOUND_TTL_DAYS.',
  params: conversationParams,
  query: none,
  body: { presence: 'required', schema: sendMessageRequest },
  store: 'writes',
  success: {
    201: { description: 'The message, on the volume.', content: { 'application/json': { schema: outboundMessage } } },
  },
  problems: ['not_found'],
});

export function addOutboundRoutes(app: App, { operations }: OutboundRouteDeps): void {
  addRoute(app, sendMessageRoute, async (c, { params: { id }, body }) => {
    noteConversation(c, id);
    const { text, sender = null } = body;
    const message = await sendMessage(operations, { from: { conversationId: id }, text, sender });
    return c.json(toOutboundJson(message), 201);
  });
}
