/**
 * The agent of an instance under test: it answers at once, and does what the message says.
 *
 *     token|call|padding      `call`: nothing, or a tool and its arguments as JSON
 *
 * The answer is `echo token`, and what the tool said.
 */

import { randomUUID } from 'node:crypto';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { z } from 'zod';
import type { AgentRequest, AgentResult } from '../../src/agent/agent.ts';
import type { ClaudeAgent, ClaudeAgentDeps } from '../../src/agent/claude.ts';
import { parsePrompt } from '../../src/domain/prompt.ts';

const toolCall = z.strictObject({ name: z.string(), arguments: z.record(z.string(), z.unknown()) });
const toolResult = z.looseObject({
  content: z.array(z.looseObject({ text: z.string() })),
  isError: z.boolean().default(false),
});

export function createEchoAgent(deps: ClaudeAgentDeps): ClaudeAgent {
  return {
    run: async (request, onEvent) => {
      const [token = '', call = ''] = lastMessage(request.prompt.text).split('|');
      const said = call === '' ? '' : `|${await callTool(deps, request, call)}`;
      onEvent({ type: 'message' });
      onEvent({ type: 'text', text: `echo ${token}${said}` });
      return plainResult(request);
    },
    heldPrompts: async (_, ids) => new Set(ids),
    forget: async () => undefined,
    forgetArchives: async () => undefined,
    maxRuns: 1_000,
    newSessionId: () => randomUUID(),
    expect: () => undefined,
    letGo: async () => undefined,
    health: () => ({
      ok: true,
      version: '1.0.0-echo',
      warm: 0,
      sandbox: 'off',
      processes: { idle: 0, inRuns: 0, starting: 0, waiting: 0, memoryBytes: null },
    }),
    warmUp: async () => undefined,
    keepSpares: async () => undefined,
    confinement: async () => ({ tieToParent: false, sandbox: null, prefix: [] }),
    betweenStarts: (work) => work(),
    stop: async () => undefined,
  };
}

/** A task that runs alone has its prompt as it is. */
function lastMessage(prompt: string): string {
  return parsePrompt(prompt)?.messages.at(-1)?.content ?? prompt.slice(prompt.indexOf('task:'));
}

async function callTool(deps: ClaudeAgentDeps, request: AgentRequest, call: string): Promise<string> {
  const { runId, conversationId } = request;
  const server = await deps.toolServer(() => ({ runId, conversationId }));
  const [near, far] = InMemoryTransport.createLinkedPair();
  const client = new Client({ name: 'echo', version: '1.0.0' });
  try {
    await server.connect(far);
    await client.connect(near);
    const { content, isError } = toolResult.parse(await client.callTool(toolCall.parse(JSON.parse(call))));
    return `${isError ? 'failed' : 'done'}: ${content.map(({ text }) => text).join(' ')}`;
  } finally {
    await client.close();
  }
}

function plainResult({ sessionId }: AgentRequest): AgentResult {
  return {
    outcome: 'success',
    error: null,
    sessionId,
    promptTaken: true,
    replyKept: true,
    freshBecause: null,
    model: 'echo',
    usage: { inputTokens: 1, outputTokens: 1, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
    costUsd: 0,
    numTurns: 1,
    warnings: [],
  };
}
