/** The events of a streamed answer, for the OpenAPI document; `chat-events.ts` makes them. */

import { z } from '@hono/zod-openapi';
import { chatResponse, toolUse } from './chat-response.ts';
import { problemSchema } from './openapi-parts.ts';

const id = z.string().regex(/^\d+$/).openapi({ description: "The event's number.", example: '1' });
const text = z.string();
const sender = z.string().nullable();

const start = z
  .strictObject({
    id,
    event: z.literal('start'),
    data: z.strictObject({ conversation_id: z.string(), message_id: z.string(), run_id: z.string() }),
  })
  .openapi('ChatStartEvent', { description: 'The request is stored; the first event.' });

const thinking = z
  .strictObject({ id, event: z.literal('thinking'), data: z.strictObject({ text }) })
  .openapi('ChatThinkingEvent', { description: 'What the model thinks; with `thinking`.' });

const chunk = z
  .strictObject({ id, event: z.literal('chunk'), data: z.strictObject({ text, sender: sender.optional() }) })
  .openapi('ChatChunkEvent', {
    description: 'The next piece of the answer. With `sender` it is none of it, and repeats an outbound message.',
  });

const rewind = z
  .strictObject({ id, event: z.literal('rewind'), data: z.strictObject({ keep: z.int().min(0) }) })
  .openapi('ChatRewindEvent', {
    description: 'The model began anew: of the answer so far only the first `keep` UTF-16 code units stand.',
  });

const toolUseEvent = z
  .strictObject({ id, event: z.literal('tool_use'), data: toolUse })
  .openapi('ChatToolUseEvent', { description: 'A tool that the agent uses; with `show_tool_use`.' });

const outbound = z
  .strictObject({ id, event: z.literal('outbound'), data: z.strictObject({ text, sender }) })
  .openapi('ChatOutboundEvent', { description: 'A message that the agent sent, at once.' });

const done = z
  .strictObject({ id, event: z.literal('done'), data: chatResponse })
  .openapi('ChatDoneEvent', { description: 'The whole answer, on the volume; the last event.' });

const error = z
  .strictObject({ id, event: z.literal('error'), data: problemSchema })
  .openapi('ChatErrorEvent', { description: 'There is no answer; the last event.' });

const chatEvent = z
  .discriminatedUnion('event', [start, thinking, chunk, rewind, toolUseEvent, outbound, done, error])
  .openapi('ChatEvent', { description: 'One event of the stream, its `data` read as JSON.' });

/** What a stream is, once it is parsed. */
export const chatEvents = z.array(chatEvent).openapi('ChatEvents', {
  description: '`start`, then any of the others, then exactly one of `done` and `error`.',
});
