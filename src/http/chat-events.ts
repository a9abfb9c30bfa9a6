/** The events of a streamed answer: which of them the caller sees, and their data. */

import type { RunEvent } from '../domain/event.ts';
import type { Problem } from '../domain/problem.ts';
import { type AnswerView, toChatResponse } from './chat-response.ts';
import { withConversation } from './errors.ts';
import type { SseFrame } from './sse.ts';

export type EventView = {
  view: AnswerView;
  conversationId: string;
  requestId: string;
  sessionEndMarker: string;
};

/**
 * `start {conversation_id, message_id, run_id}`, then any of `thinking {text}` (with `thinking`), `chunk {text}`,
 * `tool_use {tool, input}` (with `show_tool_use`), `outbound {text, sender}`, `rewind {keep}`, then exactly one of `done`
 * (the response object) or `error` (a problem).
 *
 * - The chunks without a `sender`, one after another, are the answer. A `chunk {text, sender}` repeats an outbound message.
 * - `rewind {keep}`: the model's stream broke and began anew with other words. Of the text so far only the first `keep`
 *   UTF-16 code units stand; the next chunk follows on them.
 *
 * Null for an event that the caller did not ask for.
 */
export function toFrame(event: RunEvent, input: EventView): SseFrame | null {
  const { view } = input;
  switch (event.type) {
    case 'start':
      return {
        event: 'start',
        data: { conversation_id: event.conversationId, message_id: event.messageId, run_id: event.runId },
      };
    case 'thinking':
      return view.thinking ? { event: 'thinking', data: { text: event.text } } : null;
    case 'chunk':
      return {
        event: 'chunk',
        data: event.sender === undefined ? { text: event.text } : { text: event.text, sender: event.sender },
      };
    case 'rewind':
      return { event: 'rewind', data: { keep: event.keep } };
    case 'tool_use':
      return view.toolUse ? { event: 'tool_use', data: { tool: event.tool, input: event.input ?? null } } : null;
    case 'outbound':
      return { event: 'outbound', data: { text: event.message.text, sender: event.message.sender } };
    case 'done':
      return { event: 'done', data: toChatResponse(event.outcome, input) };
    case 'error':
      return toErrorFrame(event.problem, input);
    default:
      return event satisfies never;
  }
}

export function toErrorFrame(problem: Problem, input: { conversationId: string; requestId: string }): SseFrame {
  return { event: 'error', data: withConversation(problem, input.conversationId).toBody(input.requestId) };
}
