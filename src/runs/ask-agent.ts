/**
 * Asks the agent, in the conversation's session, for the answer of one run.
 *
 * - In a conversation the prompt holds what the session has not seen, and nothing twice. Alone it is the task's prompt as
 *   it is, in a session of its own.
 * - A session that cannot be resumed is followed by a fresh one, which is on record before it exists.
 */

import { randomUUID } from 'node:crypto';
import type { Agent, AgentEvent, AgentRequest, AgentResult } from '../agent/agent.ts';
import { Problem } from '../domain/problem.ts';
import { renderPrompt } from '../domain/prompt.ts';
import { noUsage, type RunOptions } from '../domain/run.ts';
import { uuidOf } from '../lib/ids.ts';
import type { Log } from '../lib/log.ts';
import { timed } from '../lib/timings.ts';
import type { AcceptedRun, AskedInConversation, Store } from '../store/store.ts';

export type AskDeps = {
  store: Store;
  agent: Agent;
  volume: { sync(): Promise<void> };
  log: Log;
  settings: {
    /** IANA zone of the times that the model reads. */
    timezone: string;
  };
};

/** Of a conversation whose transcript is gone, this much is told to the fresh session: about 50,000 tokens. */
const primerMaxCharacters = 200_000;

/** Never rejects: a fault in here must still settle the run. */
export async function askAgent(
  deps: AskDeps,
  { accepted, options, signal }: { accepted: AcceptedRun; options: RunOptions; signal: AbortSignal },
  onEvent: (event: AgentEvent) => void,
): Promise<AgentResult> {
  const { run, sessionId } = accepted;
  try {
    const request: AgentRequest = {
      runId: run.id,
      conversationId: run.conversationId,
      sessionId,
      ...(await makeAsk(deps, accepted)),
      options,
      signal,
    };
    return await timed('agent', () => deps.agent.run(request, onEvent));
  } catch (error) {
    deps.log.error({ run_id: run.id, err: error }, 'the agent rejected');
    return {
      outcome: 'error',
      error: new Problem('internal_error', 'internal error').toBody(),
      sessionId,
      promptTaken: false,
      replyKept: true,
      freshBecause: null,
      model: null,
      usage: noUsage,
      costUsd: 0,
      numTurns: 0,
      warnings: [],
    };
  }
}

type Ask = Pick<AgentRequest, 'resume' | 'prompt' | 'freshSession'>;

async function makeAsk(deps: AskDeps, accepted: AcceptedRun): Promise<Ask> {
  const { run, ask, sessionId } = accepted;
  const beginSession = async (ownerId: string) => {
    const fresh = randomUUID();
    // Noted before it exists: whatever becomes of the run, deleting its owner deletes this transcript too.
    await deps.store.addSession(ownerId, fresh);
    await deps.volume.sync();
    return fresh;
  };
  if (ask.kind === 'alone') {
    const prompt = { id: toPromptId(ask.messageId), text: ask.text };
    return { resume: false, prompt, freshSession: async () => ({ sessionId: await beginSession(run.id), prompt }) };
  }
  const { conversation, message } = ask;
  const { timezone } = deps.settings;
  const promptId = toPromptId(message.id);
  const unseen = await withoutHeld(deps.agent, sessionId, ask.unseen);
  return {
    resume: conversation.messageCount > 1,
    prompt: { id: promptId, text: renderPrompt({ timezone, messages: [...unseen, message] }) },
    freshSession: async () => {
      const fresh = await beginSession(conversation.id);
      const { messages, omitted } = await deps.store.recentMessages({
        conversationId: conversation.id,
        beforeMessageId: message.id,
        maxCharacters: primerMaxCharacters,
      });
      const text = renderPrompt({ timezone, messages: [...messages, message], omitted });
      return { sessionId: fresh, prompt: { id: promptId, text } };
    },
  };
}

/** The UUID by which a session remembers a message. */
function toPromptId(messageId: string): string {
  return uuidOf(messageId) ?? randomUUID();
}

/**
 * A message whose run was cut off may or may not have reached the session. Only the transcript knows: what it holds is
 * not told twice.
 */
async function withoutHeld(
  agent: Agent,
  sessionId: string,
  unseen: AskedInConversation['unseen'],
): Promise<AskedInConversation['unseen']> {
  if (unseen.length === 0) return [];
  const ids = unseen.map((message) => uuidOf(message.id)).filter((id) => id !== null);
  const held = await agent.heldPrompts(sessionId, ids);
  return unseen.filter((message) => !held.has(uuidOf(message.id) ?? ''));
}
