/** The body of POST /chat: its schema, and the one place where it becomes the input of a run. */

import { z } from '@hono/zod-openapi';
import type { ChatInput } from '../conversations/chat.ts';
import { Problem } from '../domain/problem.ts';
import { mcpServers } from './mcp-servers.ts';
import { givenId, name, nonBlank } from './text-fields.ts';

const defaultThinkingTokens = 10_000;
/** The least `budget_tokens` that the Messages API takes. */
const minThinkingTokens = 1024;

export const chatRequest = z
  .strictObject({
    message: nonBlank.openapi({
      description: 'What the user says. Stored and given to the model as it is, not trimmed.',
      example: 'What is on my list for today?',
    }),
    conversation_id: givenId.optional().openapi({
      description: 'Goes on with this conversation; an unknown one is a 404. Without it a new conversation begins.',
      example: 'conv-0f6a1c9e-7f3d-4a62-9a53-0d0b1a4a7c11',
    }),
    sender: name
      .optional()
      .openapi({ description: 'Who speaks, as an identifier; `user` without it. A label, not an identity.' }),
    sender_name: name.optional().openapi({ description: 'Who speaks, as the model reads it; = `sender` without it.' }),
    stream: z.boolean().optional().openapi({ description: 'True: the answer comes as server-sent events.' }),
    max_execution_ms: z
      .int()
      .min(1)
      .optional()
      .openapi({
        description:
          'Milliseconds after which the run ends as `timeout` with the text until then. A larger value than the ' +
          "server's maximum (`max_execution_ms` of GET /health) is lowered to it.",
        example: 120_000,
      }),
    thinking: z
      .boolean()
      .optional()
      .openapi({
        description:
          'True: the model may think, up to `max_thinking_tokens` where it knows a limit. Otherwise thinking is off, but for ' +
          'models that cannot do without.',
      }),
    max_thinking_tokens: z
      .int()
      .min(minThinkingTokens)
      .optional()
      .openapi({
        description:
          `Only with \`thinking: true\`; ${defaultThinkingTokens} without it. At least ${minThinkingTokens}, as the ` +
          "model API wants, and less than the model's output limit.",
      }),
    show_tool_use: z.boolean().optional().openapi({
      description: 'True: the tools that the agent used are told, as `tool_use` events and as `tool_uses`.',
    }),
    model: name.optional().openapi({
      description:
        "The model of this run, instead of the server's (CLAUDE_MODEL). One that the API does not know fails the run.",
      example: 'claude-sonnet-5',
    }),
    mcp_servers: mcpServers.optional(),
    max_turns: z.int().min(1).optional().openapi({
      description: 'The most round trips to the model; reaching it ends the run with `limit_reached`.',
    }),
    max_budget_usd: z.number().gt(0).optional().openapi({
      description: 'The most that the run may cost, in USD by estimate; reaching it ends the run with `limit_reached`.',
    }),
    effort: z.enum(['low', 'medium', 'high', 'xhigh', 'max']).optional().openapi({
      description: "How much work the model puts into an answer; the model's own default without it.",
    }),
  })
  .superRefine((body, ctx) => {
    if (body.max_thinking_tokens !== undefined && body.thinking !== true)
      ctx.addIssue({
        code: 'custom',
        path: ['max_thinking_tokens'],
        message: 'is allowed only together with "thinking": true',
      });
  })
  .openapi('ChatRequest');

export type ChatRequest = z.output<typeof chatRequest>;

export type ChatLimits = { maxExecutionMs: number; allowStdioMcp: boolean };

/** Throws `forbidden` for an MCP server that would run a command where that is not allowed. */
export function toChatInput(body: ChatRequest, limits: ChatLimits): ChatInput {
  const sender = body.sender ?? 'user';
  const servers = body.mcp_servers ?? {};
  const stdio = Object.entries(servers).find(([, server]) => server.type === 'stdio');
  if (stdio && !limits.allowStdioMcp)
    throw new Problem(
      'forbidden',
      `mcp_servers.${stdio[0]}: a stdio server runs a command on the server, which needs ALLOW_STDIO_MCP=true there`,
    );
  return {
    conversationId: body.conversation_id ?? null,
    message: body.message,
    sender,
    senderName: body.sender_name ?? sender,
    options: {
      model: body.model ?? null,
      maxExecutionMs: Math.min(body.max_execution_ms ?? limits.maxExecutionMs, limits.maxExecutionMs),
      thinking: body.thinking
        ? { type: 'enabled', maxTokens: body.max_thinking_tokens ?? defaultThinkingTokens }
        : { type: 'disabled' },
      effort: body.effort ?? null,
      maxTurns: body.max_turns ?? null,
      maxBudgetUsd: body.max_budget_usd ?? null,
      mcpServers: servers,
    },
  };
}
