/**
 * Reads the usage out of an answer of the Messages API: a stream of server-sent events, or one JSON object.
 *
 * Of a stream only the lines are looked at that could hold a usage, and none is kept longer than it takes to end. That
 * is all of the format that is needed here: the API writes an event's data in one line. What is taken for a usage is so by
 * its place in the parsed JSON, not by its text, which may be the model's.
 */

import type { Readable } from 'node:stream';
import { z } from 'zod';
import { LineInPieces } from '../../lib/line-in-pieces.ts';
import { type Counts, noCounts } from './prices.ts';

/** `counts`: what the answer has come to so far. They only grow. */
export type OnUsage = (model: string, counts: Counts) => void;

/** Listens to the stream without changing its pace. A body of any other kind tells nothing. */
export function readUsage(
  answer: Readable & { headers: { 'content-type'?: string | undefined } },
  onUsage: OnUsage,
): void {
  const kind = answer.headers['content-type']?.split(';')[0]?.trim().toLowerCase();
  if (kind === 'text/event-stream') readEvents(answer, onUsage);
  else if (kind === 'application/json') readObject(answer, onUsage);
}

/** A line with a usage has a few hundred bytes; longer ones (what a tool of the API has found) are let go. */
const maxLineBytes = 1_000_000;

/** Of an answer without streaming, which has at most some 128,000 tokens of text. */
const maxObjectBytes = 16_000_000;

function readEvents(answer: Readable, onUsage: OnUsage): void {
  let model = unnamed;
  let counts = noCounts;
  const onLine = (line: Buffer) => {
    if (!line.subarray(0, dataField.length).equals(dataField) || !line.includes('"message_')) return;
    const event = parseEvent(line.subarray(dataField.length));
    if (event === null) return;
    if (event.type === 'message_start') model = event.message.model;
    counts = grow(counts, event.type === 'message_start' ? event.message.usage : event.usage);
    onUsage(model, counts);
  };

  const line = new LineInPieces<Buffer>(maxLineBytes);
  const onLineEnd = () => {
    const pieces = line.end();
    if (pieces.length > 0) onLine(pieces.length === 1 && pieces[0] ? pieces[0] : Buffer.concat(pieces));
  };
  answer.on('data', (chunk: Buffer) => {
    let from = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, from)) {
      line.add(chunk.subarray(from, end));
      onLineEnd();
      from = end + 1;
    }
    line.add(chunk.subarray(from));
  });
  answer.on('end', onLineEnd);
}

const dataField = Buffer.from('data:');
const lineFeed = 0x0a;

function readObject(answer: Readable, onUsage: OnUsage): void {
  let chunks: Buffer[] = [];
  let bytes = 0;
  answer.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= maxObjectBytes) chunks.push(chunk);
    else chunks = [];
  });
  answer.on('end', () => {
    const parsed = message.safeParse(parseJson(Buffer.concat(chunks)));
    if (parsed.success) onUsage(parsed.data.model, grow(noCounts, parsed.data.usage));
  });
}

// What an upstream that is not the model API itself leaves out, or fills with nothing, counts as nothing.
const count = z.number().int().nonnegative().catch(0);
const whole = z.looseObject({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
  cache_creation: z.looseObject({ ephemeral_1h_input_tokens: count }).catch({ ephemeral_1h_input_tokens: 0 }),
  server_tool_use: z.looseObject({ web_search_requests: count }).catch({ web_search_requests: 0 }),
  speed: z.unknown().optional(),
  inference_geo: z.unknown().optional(),
});
const usage = whole.catch(whole.parse({}));
const unnamed = 'unknown';
const message = z.looseObject({ model: z.string().catch(unnamed), usage });
const event = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('message_start'), message }),
  z.looseObject({ type: z.literal('message_delta'), usage }),
]);

function parseEvent(data: Buffer): z.infer<typeof event> | null {
  return event.safeParse(parseJson(data)).data ?? null;
}

function parseJson(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString());
  } catch {
    return null;
  }
}

/** The larger one of each: a later event may leave out what an earlier one told. */
function grow(counts: Counts, told: z.infer<typeof usage>): Counts {
  return {
    inputTokens: Math.max(counts.inputTokens, told.input_tokens),
    outputTokens: Math.max(counts.outputTokens, told.output_tokens),
    cacheReadInputTokens: Math.max(counts.cacheReadInputTokens, told.cache_read_input_tokens),
    cacheCreationInputTokens: Math.max(counts.cacheCreationInputTokens, told.cache_creation_input_tokens),
    cacheCreation1hInputTokens: Math.max(
      counts.cacheCreation1hInputTokens,
      told.cache_creation.ephemeral_1h_input_tokens,
    ),
    webSearches: Math.max(counts.webSearches, told.server_tool_use.web_search_requests),
    isFast: counts.isFast || told.speed === 'fast',
    isRegional: counts.isRegional || told.inference_geo === 'us',
  };
}
