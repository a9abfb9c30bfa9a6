/** An outbound message: stored, told at once to whoever streams the run, and delivered once with an answer. */

import type { OutboundMessage } from '../domain/conversation.ts';
import { withoutInternal } from '../domain/internal-filter.ts';
import { invalidRequest } from '../domain/invalid-request.ts';
import { conversationNotFound, Problem } from '../domain/problem.ts';
import type { AddOutbound } from '../store/store.ts';

export type SendMessageDeps = {
  runs: { sendMessage(input: SendMessage): Promise<OutboundMessage | null> };
};

export type SendMessage = Pick<AddOutbound, 'from' | 'text' | 'sender'>;

/** Rejects with a `Problem`: 400, 404 when the run is over or the conversation unknown, 503 when it may not survive. */
export async function sendMessage(deps: SendMessageDeps, input: SendMessage): Promise<OutboundMessage> {
  // What the model hides of its answer it hides here too.
  const text = withoutInternal(input.text);
  if (text.trim() === '')
    throw invalidRequest([{ path: 'text', message: 'must not be blank, nor all of it an <internal> block' }]);
  const message = await deps.runs.sendMessage({ ...input, text });
  if (message !== null) return message;
  throw 'conversationId' in input.from
    ? conversationNotFound(input.from.conversationId)
    : new Problem('not_found', 'the run is over; a message can only be sent while it works');
}
