/**
 * The events of one run, numbered from 1 in the order in which they happened. Readers come and go as they like: each
 * gets every event from the first on. The last event is `done` or `error`; nothing follows it.
 */

import type { OutboundMessage } from '../domain/conversation.ts';
import { isFinal, type NumberedEvent, type RunEvent } from '../domain/event.ts';

export class EventLog {
  readonly #events: NumberedEvent[] = [];
  readonly #outbound = new Set<string>();
  #takesOutbound = true;
  #closed = false;
  #wake = Promise.withResolvers<void>();

  append(event: RunEvent): void {
    if (this.#closed) throw new Error(`event ${event.type} after the last event of a run`);
    this.#events.push({ number: this.#events.length + 1, event });
    this.#closed = isFinal(event);
    if (this.#closed) this.#takesOutbound = false;
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Each message once. Nothing of a message that comes after `closeOutbound`: it is the next answer's. */
  tellOutbound(message: OutboundMessage): void {
    if (!this.#takesOutbound || this.#outbound.has(message.id)) return;
    this.#outbound.add(message.id);
    this.append({ type: 'outbound', message });
  }

  /** These are what the run delivers, and there are no others. */
  closeOutbound(delivered: OutboundMessage[]): void {
    for (const message of delivered) this.tellOutbound(message);
    this.#takesOutbound = false;
  }

  /** Ends after the last event of the run. */
  async *read(): AsyncGenerator<NumberedEvent, void> {
    for (let next = 0; ; next++) {
      while (next === this.#events.length) await this.#wake.promise;
      const event = this.#events[next];
      if (!event) return;
      yield event;
      if (isFinal(event.event)) return;
    }
  }
}
