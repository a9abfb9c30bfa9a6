/** What happens in a run, in order; an event's number is the `id` of its SSE frame. */

import type { OutboundMessage } from './conversation.ts';
import type { RunOutcome } from './outcome.ts';
import type { Problem } from './problem.ts';

export type RunEvent =
  | { type: 'start'; conversationId: string | null; messageId: string | null; runId: string }
  | { type: 'thinking'; text: string }
  /** With `sender` it repeats an outbound message, as 1.x clients expect it; without, it is the answer's text. */
  | { type: 'chunk'; text: string; sender?: string | null }
  /** The model's stream broke and began anew with other words: of the text so far, only the first `keep` UTF-16 units stand. */
  | { type: 'rewind'; keep: number }
  | { type: 'tool_use'; tool: string; input: unknown }
  | { type: 'outbound'; message: OutboundMessage }
  | { type: 'done'; outcome: RunOutcome }
  | { type: 'error'; problem: Problem };

export type NumberedEvent = { number: number; event: RunEvent };

export function isFinal(event: RunEvent): boolean {
  return event.type === 'done' || event.type === 'error';
}
