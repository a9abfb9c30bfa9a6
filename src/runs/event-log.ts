/**
 * The events of one run, numbered from 1 in the order in which they happened. Readers come and go as they like: each
 * gets every event from the first on. The last event is `done` or `error`; nothing follows it.
 */

import type { OutboundMessage } from '../domain/conversation.ts';
import { isFinal, type NumberedEvent, type RunEvent } from '../domain/event.ts';

export class EventLog {
  readonly #events: NumberedEvent[] = [];
  readonly #outbound = new Set<string>();
  #closed = false;
  #wake = Promise.withResolvers<void>();

  append(event: RunEvent): void {
    if (this.#closed) throw new Error(`event ${event.type} after the last event of a run`);
    this.#events.push({ number: this.#events.length + 1, event });
    this.#closed = isFinal(event);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  /** Once a message, whoever is first; too late, after the last event, it is left to the next answer. */
  tellOutbound(message: OutboundMessage): void {
    if (this.#closed || this.#outbound.has(message.id)) return;
    this.#outbound.add(message.id);
    this.append({ type: 'outbound', message });
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
