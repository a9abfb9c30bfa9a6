/**
 * Server-sent events out of a run's numbered events.
 *
 * - Nothing is read from the run before the client has room for it: a slow client holds up only its own stream.
 * - Silence is broken by a comment, so that no proxy takes the connection for dead.
 * - A client that goes away ends the reading, never the run.
 */

import type { NumberedEvent, RunEvent } from '../domain/event.ts';
import type { StreamEnd } from './context.ts';

export type SseFrame = { event: string; data: unknown };

export type SseInput = {
  events: AsyncGenerator<NumberedEvent, void>;
  /** Null leaves the event out; its number is not used for another. */
  toFrame: (event: RunEvent) => SseFrame | null;
  /** The last frame of a stream that cannot go on. */
  toErrorFrame: (error: unknown) => SseFrame;
  heartbeatMs: number;
  /** The stream ends, after its last frame, when this resolves. */
  ended: Promise<void>;
};

export const sseHeaders = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  // no-transform: a proxy that compresses would hold events back.
  'Cache-Control': 'no-cache, no-transform',
  // nginx buffers responses unless it is told not to.
  'X-Accel-Buffering': 'no',
};

export function sseStream(input: SseInput): { body: ReadableStream<Uint8Array>; end: Promise<StreamEnd> } {
  const { events, toFrame, heartbeatMs } = input;
  const ended = Promise.withResolvers<StreamEnd>();
  const encoder = new TextEncoder();
  /** The read that a heartbeat interrupted. */
  let reading: Promise<IteratorResult<NumberedEvent, void>> | null = null;
  let lastNumber = 0;
  let silence: Timer | null = null;
  let isGone = false;

  /** The next text to send; null at the end. */
  async function next(): Promise<string | null> {
    const beat = timer(heartbeatMs);
    silence = beat;
    try {
      for (;;) {
        reading ??= events.next();
        const result = await Promise.race([reading, beat.elapsed]);
        if (result === 'elapsed') return ': heartbeat\n\n';
        reading = null;
        if (result.done) {
          await input.ended;
          return null;
        }
        lastNumber = result.value.number;
        const frame = toFrame(result.value.event);
        if (frame) return renderFrame(lastNumber, frame);
      }
    } finally {
      beat.clear();
    }
  }

  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const text = await next();
          if (isGone) return;
          if (text !== null) return controller.enqueue(encoder.encode(text));
          ended.resolve('complete');
        } catch (error) {
          ended.resolve('failed');
          controller.enqueue(encoder.encode(renderFrame(lastNumber + 1, input.toErrorFrame(error))));
        }
        controller.close();
      },
      cancel() {
        isGone = true;
        // A timer left behind would keep the process from its end.
        silence?.clear();
        ended.resolve('client_gone');
        // Not awaited: it takes effect with the run's next event, which nobody waits for any more.
        void events.return();
      },
    },
    { highWaterMark: 0 },
  );
  return { body, end: ended.promise };
}

/** JSON holds no raw line break, so that one `data` line always does. */
function renderFrame(number: number, { event, data }: SseFrame): string {
  return `id: ${number}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

type Timer = { elapsed: Promise<'elapsed'>; clear: () => void };

function timer(ms: number): Timer {
  const { promise, resolve } = Promise.withResolvers<'elapsed'>();
  const timeout = setTimeout(() => resolve('elapsed'), ms);
  return { elapsed: promise, clear: () => clearTimeout(timeout) };
}
