/**
 * From the SDK's messages to our events; pure.
 *
 * A model message comes twice: as stream events while it is written, then, block by block, as `assistant` messages with
 * the same id, each before its block's end. The second is what the CLI acts on and keeps, so it decides: what the stream
 * left out of a block is added, and a stream that said something else is taken back (`restart`).
 *
 * When a stream breaks, the CLI does one of three things, and closes the broken message with a `message_stop` that the
 * model never sent; only a stop reason ends a message:
 * - no block was whole: it asks again, streaming or not. The text so far is void (`restart`).
 * - a block was whole: it keeps that, drops the rest, and has the model go on from there in a message of its own.
 * - it asks again without streaming: the answer comes as `assistant` messages alone, with an id not seen before.
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
  /** Why the model ended it. */
  stopReason: string | null;
  /** The text of its blocks before the open one. */
  textBefore: string;
  /** The block that streams, as far as it has come; null once its `assistant` message has settled it. */
  open: { kind: BlockKind; text: string } | null;
};

export type Translation = { state: TranslateState; events: AgentEvent[] };

type BlockKind = 'text' | 'thinking';

export const beforeTheFirst: TranslateState = {
  messageId: null,
  finished: true,
  stopReason: null,
  textBefore: '',
  open: null,
};

export function translate(state: TranslateState, message: SDKMessage): Translation {
  if (message.type === 'stream_event' && message.parent_tool_use_id === null) return stream(state, message.event);
  if (message.type === 'assistant' && message.parent_tool_use_id === null && !isByCli(message)) {
    return settle(state, message.message);
  }
  return { state, events: [] };
}

/** The CLI speaks in the model's place: an API error, or the filler after an interrupted turn. */
export function isByCli(message: SDKAssistantMessage): boolean {
  return message.error !== undefined || message.message.model === '<synthetic>';
}

function stream(state: TranslateState, event: SDKPartialAssistantMessage['event']): Translation {
  switch (event.type) {
    case 'message_start':
      return begin(state, event.message.id);
    case 'content_block_start':
      return { state: { ...state, textBefore: textOf(state), open: null }, events: [] };
    case 'content_block_delta': {
      const { delta } = event;
      if (delta.type === 'text_delta') return append(state, 'text', delta.text);
      if (delta.type === 'thinking_delta') return append(state, 'thinking', delta.thinking);
      return { state, events: [] };
    }
    case 'message_delta': {
      const stopReason = event.delta.stop_reason ?? state.stopReason;
      return { state: { ...state, finished: stopReason !== null, stopReason }, events: [] };
    }
    default:
      return { state, events: [] };
  }
}

function settle(before: TranslateState, message: SDKAssistantMessage['message']): Translation {
  const { state: begun, events } =
    message.id === before.messageId ? { state: before, events: [] } : alone(before, message.id);
  let state = begun;
  const all = [...events];
  for (const block of message.content) {
    if (block.type === 'tool_use') all.push({ type: 'tool_use', tool: block.name, input: block.input });
    if (block.type !== 'text' && block.type !== 'thinking') continue;
    const step = settleBlock(state, block.type, block.type === 'text' ? block.text : block.thinking);
    state = step.state;
    all.push(...step.events);
  }
  return { state, events: all };
}

function settleBlock(state: TranslateState, kind: BlockKind, whole: string): Translation {
  const isOpen = state.open?.kind === kind;
  const streamed = isOpen && state.open ? state.open.text : '';
  const before = isOpen ? state.textBefore : textOf(state);
  const settled: TranslateState = { ...state, textBefore: kind === 'text' ? before + whole : before, open: null };
  if (whole.startsWith(streamed)) return { state: settled, events: toEvents(kind, whole.slice(streamed.length)) };
  // Thinking is not kept, so a difference there is not worth taking the message back.
  if (kind === 'thinking') return { state: settled, events: [] };
  return { state: settled, events: [{ type: 'restart', keepsThinking: true }, ...toEvents('text', before + whole)] };
}

function begin(state: TranslateState, messageId: string): Translation {
  const next: TranslateState = { messageId, finished: false, stopReason: null, textBefore: '', open: null };
  return { state: next, events: beginEvents(state) };
}

function beginEvents(before: TranslateState): AgentEvent[] {
  // A refused message is asked for anew; one that met the output limit is asked to go on in mid-word.
  if (before.finished && before.stopReason === 'refusal') return [{ type: 'restart' }];
  if (before.finished && before.stopReason !== 'max_tokens') return [{ type: 'message' }];
  const goesOn: AgentEvent = { type: 'message', continues: true };
  if (before.finished) return [goesOn];
  if (before.textBefore === '') return [{ type: 'restart' }];
  if (textOf(before) === before.textBefore) return [goesOn];
  return [{ type: 'restart', keepsThinking: true }, ...toEvents('text', before.textBefore), goesOn];
}

/** A message that comes without a stream: the model has ended it long ago. */
function alone(state: TranslateState, messageId: string): Translation {
  const begun = begin(state, messageId);
  return { state: { ...begun.state, finished: true, stopReason: null }, events: begun.events };
}

function append(state: TranslateState, kind: BlockKind, text: string): Translation {
  const soFar = state.open?.kind === kind ? state.open.text : '';
  return { state: { ...state, open: { kind, text: soFar + text } }, events: toEvents(kind, text) };
}

function textOf(state: TranslateState): string {
  return state.open?.kind === 'text' ? state.textBefore + state.open.text : state.textBefore;
}

function toEvents(kind: BlockKind, text: string): AgentEvent[] {
  return text === '' ? [] : [{ type: kind, text }];
}
