/** A chat request: takes the conversation, or begins one, and starts a run in it. */

import type { RunOptions } from '../domain/run.ts';
import type { LiveChat, StartRun } from '../runs/runs.ts';

export type { LiveChat };

export type ChatDeps = { runs: { start(input: StartRun): Promise<LiveChat> } };

export type ChatInput = {
  /** Null begins a new conversation. */
  conversationId: string | null;
  message: string;
  sender: string;
  senderName: string;
  options: RunOptions;
};

/**
 * Resolves once the request is durable; rejects with a `Problem`: 404, 409, and then nothing was stored; 503, and then it was
 * withdrawn, or is another instance's affair.
 */
export function chat(deps: ChatDeps, input: ChatInput): Promise<LiveChat> {
  const { conversationId, message, sender, senderName, options } = input;
  return deps.runs.start({ conversationId, message: { sender, senderName, content: message }, options });
}
