/** What a tenure does in the background: one thing at a time, and not again at once after it has failed. */

export type Chore = 'snapshot' | 'checkpoint';

export type ChoresInput = {
  /** What is due; null when nothing is. */
  due: () => Chore | null;
  work: (chore: Chore) => Promise<unknown>;
  /** Never rejects. */
  failed: (error: unknown) => Promise<void>;
};

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

export class Chores {
  readonly #input: ChoresInput;
  #current: Promise<void> | null = null;
  #notBefore = 0;
  #retryMs = firstRetryMs;

  constructor(input: ChoresInput) {
    this.#input = input;
  }

  /** Begins what is due, if there is anything. */
  begin(): void {
    if (this.#current !== null || performance.now() < this.#notBefore) return;
    const chore = this.#input.due();
    if (chore === null) return;
    this.#current = this.#run(chore).finally(() => {
      this.#current = null;
    });
  }

  /** Resolves when nothing of it is under way. */
  async settled(): Promise<void> {
    await this.#current;
  }

  async #run(chore: Chore): Promise<void> {
    try {
      await this.#input.work(chore);
      this.#retryMs = firstRetryMs;
    } catch (error) {
      this.#notBefore = performance.now() + this.#retryMs;
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      await this.#input.failed(error);
    }
  }
}
