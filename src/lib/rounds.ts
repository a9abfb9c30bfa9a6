/**
 * Work that serves everybody who asked for it before it began: whoever asks while a round is under way shares the next one,
 * because the one under way may have looked already.
 */
export class Rounds {
  readonly #work: () => Promise<void>;
  /** The latest round that began, settled or not. */
  #begun: Promise<void> = Promise.resolve();
  /** The round that calls join: announced, not begun. */
  #announced: Promise<void> | null = null;

  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  /** Settles as the round does that begins after this call. */
  join(): Promise<void> {
    this.#announced ??= this.#after(this.#begun);
    return this.#announced;
  }

  async #after(previous: Promise<void>): Promise<void> {
    await previous.catch(() => undefined);
    this.#begun = this.#announced ?? previous;
    this.#announced = null;
    await this.#work();
  }
}
