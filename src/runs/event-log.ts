/**
 * The events of one run, numbered from 1 in the order in which they happened. Readers come and go as they like: each
 * gets every event from the first on. The last event is `done` or `error`; nothing follows it.
 */

import { isFinal, type NumberedEvent, type RunEvent } from '../domain/event.ts';

export class EventLog {
  readonly #events: NumberedEvent[] = [];
  #closed = false;
  #wake = Promise.withResolvers<void>();

  append(event: RunEvent): void {
    if (this.#closed) throw new Error(`event ${event.type} after the last event of a run`);
    this.#events.push({ number: this.#events.length + 1, event });
    this.#closed = isFinal(event);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
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
