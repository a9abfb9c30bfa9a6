/** Server-sent events as a client's parser sees them. */

import { EventSourceParserStream } from 'eventsource-parser/stream';
import { z } from 'zod';

export type Frame = { id: string | undefined; event: string | undefined; data: Record<string, unknown> };

/** One at a time; `return()` is the client that goes away. Fails on anything but 200. */
export async function* readFrames(response: Response): AsyncGenerator<Frame, void> {
  if (response.status !== 200 || response.body === null) throw new Error(`${response.status} ${await response.text()}`);
  const reader = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const data = z.record(z.string(), z.unknown()).parse(JSON.parse(value.data));
      yield { id: value.id, event: value.event, data };
    }
  } finally {
    await reader.cancel();
  }
}

export async function collect(frames: AsyncIterable<Frame>): Promise<Frame[]> {
  const collected: Frame[] = [];
  for await (const frame of frames) collected.push(frame);
  return collected;
}
