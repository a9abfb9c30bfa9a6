/**
 * From the SDK's messages to our events; pure.
 *
 * A model message comes twice: as stream events while it is written, then, block by block, as `assistant` messages with
 * the same id, each before its block's end. The second is what the CLI acts on and keeps, so it decides:
 * - what the stream left out of a block is added; a stream that said something else is taken back (`restart`).
 * - a message without a stream (the CLI asks again without streaming when one broke) is taken from there whole.
 * A message that begins while the one before was not finished is that one anew: `restart`, and its text is void.
 *
 * Not text: what a subagent says (`parent_tool_use_id`), and what the CLI says in the model's place, such as API errors.
 */

import type { SDKAssistantMessage, SDKMessage, SDKPartialAssistantMessage } from '@anthropic-ai/claude-agent-sdk';
import type { AgentEvent } from './agent.ts';

export type TranslateState = {
  /** The model's message that is being told; null before the first. */
  messageId: string | null;
  /** Whether the model has ended it. */
  finished: boolean;
  /** Its text up to the block that is open. */
  textBefore: string;
  /** The block that streams, as far as it has come; null once its `assistant` message has settled it. */
  open: { kind: 'text' | 'thinking'; text: string } | null;
};

export type Translation = { state: TranslateState; events: AgentEvent[] };

export const beforeTheFirst: TranslateState = { messageId: null, finished: true, textBefore: '', open: null };

export function translate(state: TranslateState, message: SDKMessage): Translation {
  if (message.type === 'stream_event' && message.parent_tool_use_id === null) return streamed(state, message.event);
  if (message.type === 'assistant' && message.parent_tool_use_id === null && !isByCli(message)) {
    return settled(state, message.message);
  }
  return { state, events: [] };
}

/** The CLI speaks in the model's place: an API error, or the filler after an interrupted turn. */
export function isByCli(message: SDKAssistantMessage): boolean {
  return message.error !== undefined || message.message.model === '<synthetic>';
}

function streamed(state: TranslateState, event: SDKPartialAssistantMessage['event']): Translation {
  switch (event.type) {
    case 'message_start':
      return begin(state, event.message.id);
    case 'content_block_start': {
      const { type } = event.content_block;
      const open = type === 'text' || type === 'thinking' ? { kind: type, text: '' } : null;
      return { state: { ...state, textBefore: textOf(state), open }, events: [] };
    }
    case 'content_block_delta': {
      const { delta } = event;
      if (delta.type === 'text_delta') return append(state, 'text', delta.text);
      if (delta.type === 'thinking_delta') return append(state, 'thinking', delta.thinking);
      return { state, events: [] };
    }
    case 'message_delta':
      return { state: { ...state, finished: state.finished || event.delta.stop_reason !== null }, events: [] };
    case 'message_stop':
      return { state: { ...state, finished: true }, events: [] };
    default:
      return { state, events: [] };
  }
}

function settled(before: TranslateState, message: SDKAssistantMessage['message']): Translation {
  const isNew = message.id !== before.messageId;
  const start = isNew ? begin(before, message.id) : { state: before, events: [] };
  // Only a message without a stream is new here, and it comes when the model has long ended it.
  let state: TranslateState = isNew ? { ...start.state, finished: true } : start.state;
  const events = [...start.events];
  for (const block of message.content) {
    if (block.type === 'tool_use') {
      events.push({ type: 'tool_use', tool: block.name, input: block.input });
    } else if (block.type === 'text' || block.type === 'thinking') {
      const final = block.type === 'text' ? block.text : block.thinking;
      const step = settleBlock(state, block.type, final);
      state = step.state;
      events.push(...step.events);
    }
  }
  return { state, events };
}

function settleBlock(state: TranslateState, kind: 'text' | 'thinking', final: string): Translation {
  const streamedText = state.open?.kind === kind ? state.open.text : '';
  const before = state.open?.kind === kind ? state.textBefore : textOf(state);
  const next: TranslateState = { ...state, textBefore: kind === 'text' ? before + final : before, open: null };
  if (final.startsWith(streamedText)) return { state: next, events: toText(kind, final.slice(streamedText.length)) };
  // Thinking is not kept, so a difference there is not worth taking the message back.
  if (kind === 'thinking') return { state: next, events: [] };
  return { state: next, events: [{ type: 'restart' }, ...toText('text', before + final)] };
}

function begin(state: TranslateState, messageId: string): Translation {
  return {
    state: { messageId, finished: false, textBefore: '', open: null },
    events: [{ type: state.finished ? 'message' : 'restart' }],
  };
}

function append(state: TranslateState, kind: 'text' | 'thinking', text: string): Translation {
  const soFar = state.open?.kind === kind ? state.open.text : '';
  return { state: { ...state, open: { kind, text: soFar + text } }, events: toText(kind, text) };
}

function textOf(state: TranslateState): string {
  return state.open?.kind === 'text' ? state.textBefore + state.open.text : state.textBefore;
}

function toText(kind: 'text' | 'thinking', text: string): AgentEvent[] {
  return text === '' ? [] : [{ type: kind, text }];
}
