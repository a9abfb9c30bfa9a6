/**
 * What a transcript tells of a conversation, line by line; pure.
 *
 * Left out: what the CLI says in the user's or the model's place (its reminders, its summaries, API errors), what subagents
 * say among themselves, thinking, and the CLI's bookkeeping.
 */

import { z } from 'zod';

export type TranscriptEntry =
  /** `at`: UTC. */
  | { kind: 'user'; at: string; text: string }
  | { kind: 'assistant'; text: string }
  | { kind: 'tool_call'; id: string; name: string; input: unknown }
  | { kind: 'tool_result'; callId: string; isError: boolean; text: string }
  | { kind: 'compacted'; at: string };

/** `id`: by which the CLI and its messages to us know the line; null for bookkeeping. Null for a line that is no JSON. */
export type TranscriptLine = { id: string | null; entries: TranscriptEntry[] } | null;

export function readLine(line: string): TranscriptLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = entry.safeParse(value);
  if (!parsed.success) return { id: null, entries: [] };
  const { data } = parsed;
  if (data.type === 'system') return { id: data.uuid, entries: [{ kind: 'compacted', at: data.timestamp }] };
  if (data.isSidechain || data.isMeta || data.isCompactSummary || data.message.model === '<synthetic>')
    return { id: data.uuid, entries: [] };
  const { content } = data.message;
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  return { id: data.uuid, entries: toEntries(data, blocks) };
}

const flag = z.boolean().default(false);
const blocks = z.array(z.looseObject({ type: z.string() }));
type Block = z.infer<typeof blocks>[number];

const entry = z.discriminatedUnion('type', [
  z.object({
    type: z.enum(['user', 'assistant']),
    uuid: z.string(),
    timestamp: z.string().default(''),
    isSidechain: flag,
    isMeta: flag,
    isCompactSummary: flag,
    message: z.object({ model: z.string().optional(), content: z.union([z.string(), blocks]) }),
  }),
  z.object({
    type: z.literal('system'),
    subtype: z.literal('compact_boundary'),
    uuid: z.string(),
    timestamp: z.string().default(''),
  }),
]);

/** Text and pictures that stand next to each other are one entry. */
function toEntries(of: { type: 'user' | 'assistant'; timestamp: string }, blocks: Block[]): TranscriptEntry[] {
  const entries: TranscriptEntry[] = [];
  let texts: string[] = [];
  const endText = () => {
    const text = texts.join('\n\n');
    if (text !== '')
      entries.push(of.type === 'user' ? { kind: 'user', at: of.timestamp, text } : { kind: 'assistant', text });
    texts = [];
  };
  for (const block of blocks) {
    if (block.type === 'thinking' || block.type === 'redacted_thinking') continue;
    const tool = toolEntry(block);
    if (tool === null) {
      texts.push(textOf(block));
      continue;
    }
    endText();
    entries.push(tool);
  }
  endText();
  return entries;
}

const toolCall = z.object({
  type: z.enum(['tool_use', 'server_tool_use']),
  id: z.string(),
  name: z.string(),
  input: z.unknown(),
});
const toolResult = z.object({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  is_error: flag,
  content: z.union([z.string(), blocks]).default(''),
});

function toolEntry(block: Block): TranscriptEntry | null {
  const call = toolCall.safeParse(block);
  if (call.success) return { kind: 'tool_call', id: call.data.id, name: call.data.name, input: call.data.input };
  const result = toolResult.safeParse(block);
  if (!result.success) return null;
  const { tool_use_id: callId, is_error: isError, content } = result.data;
  const text = typeof content === 'string' ? content : content.map(textOf).join('\n');
  return { kind: 'tool_result', callId, isError, text };
}

const textBlock = z.object({ type: z.literal('text'), text: z.string() });
const mediaBlock = z.object({
  type: z.enum(['image', 'document']),
  source: z.object({ media_type: z.string().optional() }),
});

/** A picture or a document is not told but named. A kind of block that is new to us is told as it stands there. */
function textOf(block: Block): string {
  const text = textBlock.safeParse(block);
  if (text.success) return text.data.text;
  const media = mediaBlock.safeParse(block);
  if (!media.success) return JSON.stringify(block);
  const { type, source } = media.data;
  return `[${type}${source.media_type === undefined ? '' : `: ${source.media_type}`}]`;
}
