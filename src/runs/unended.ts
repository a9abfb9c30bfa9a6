/**
 * Runs that nobody works at any more and whose end could not be stored, on a full local disk for example.
 *
 * Until it is, their conversations and tasks are busy: it is tried again until the store takes it. Where the volume has been
 * lost meanwhile there is nothing left to do: whoever takes it over ends what was running.
 */

import type { Log } from '../lib/log.ts';

export type UnendedDeps = {
  volume: { useIfOurs(work: () => Promise<void>): Promise<boolean> };
  log: Log;
};

const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

export class Unended {
  readonly #deps: UnendedDeps;
  readonly #ends = new Map<string, () => Promise<void>>();
  #retryMs = firstRetryMs;
  #timer: NodeJS.Timeout | null = null;
  #stopped = false;

  constructor(deps: UnendedDeps) {
    this.#deps = deps;
  }

  /** `end` does nothing to a run that has ended otherwise. */
  add(runId: string, end: () => Promise<void>): void {
    this.#ends.set(runId, end);
    this.#tryLater();
  }

  /** What is left is ended by the next start. Idempotent. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #tryLater(): void {
    if (this.#timer !== null || this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      void this.#try();
    }, this.#retryMs);
  }

  /** Never rejects. */
  async #try(): Promise<void> {
    const { volume, log } = this.#deps;
    try {
      if (!(await volume.useIfOurs(() => this.#endAll()))) this.#ends.clear();
    } catch (error) {
      log.warn({ runs: this.#ends.size, err: error }, 'runs that nobody works at could not be ended yet');
    }
    if (this.#ends.size > 0) this.#tryLater();
    else this.#retryMs = firstRetryMs;
  }

  /** Each of them, whatever keeps another from its end. */
  async #endAll(): Promise<void> {
    let fault: unknown = null;
    for (const [runId, end] of this.#ends) {
      try {
        await end();
        this.#ends.delete(runId);
      } catch (error) {
        fault = error;
      }
    }
    if (fault !== null) throw fault;
  }
}
