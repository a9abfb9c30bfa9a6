/** A queue that is read as it fills: what is pushed, in order, until it is closed. One reader. */

export class Inbox<T> implements AsyncIterable<T> {
  readonly #queue: T[] = [];
  #closed = false;
  #wake = () => {};

  push(item: T): void {
    this.#queue.push(item);
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else if (this.#closed) return;
      else await this.#filled();
    }
  }

  #filled(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
