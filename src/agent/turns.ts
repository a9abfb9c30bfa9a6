/** Work that is done one after another for each key, in the order in which it was asked for. */

export class Turns {
  /** Of each key, the last that was asked for. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Resolves or rejects as the work does, which begins when all before it has settled. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#last.get(key) ?? Promise.resolve()).then(work);
    const settled = mine.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, settled);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }

  /** Resolves when all that has been asked for by now has settled. */
  async settled(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
