/**
 * Keeps the run logs of tasks and the outbound messages from growing without end: once the server is up, every hour, and soon
 * after the run of a task. Never in a request: whoever asks for something does not wait for it.
 */

import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/store.ts';

export type RetentionDeps = {
  store: Store;
  volume: { sync(): Promise<void>; useIfOurs(work: () => Promise<void>): Promise<boolean> };
  clock: Clock;
  log: Log;
  settings: {
    /** Lines that the run log of a task keeps. */
    taskLogRetention: number;
    outboundTtlDays: number;
  };
};

const dayMs = 86_400_000;
const everyMs = 3_600_000;
/** Runs that end together are looked at together. */
const soonMs = 1_000;

export class Retention {
  readonly #deps: RetentionDeps;
  #timer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(deps: RetentionDeps) {
    this.#deps = deps;
  }

  /** Resolves when the first round is done. Never rejects. */
  async start(): Promise<void> {
    // A shutdown may come before the server is warm.
    if (this.#stopped) return;
    this.#timer ??= setInterval(() => void this.#next(), everyMs);
    await this.#next();
  }

  /** A run of a task has ended. */
  wake(): void {
    if (this.#stopped) return;
    this.#soon ??= setTimeout(() => {
      this.#soon = null;
      void this.#next();
    }, soonMs);
  }

  /** Waits for the round under way. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#soon !== null) clearTimeout(this.#soon);
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#running;
  }

  #next(): Promise<void> {
    this.#running = this.#running.then(() => this.#pruneIfOurs());
    return this.#running;
  }

  /** What another instance has is its own to prune. */
  async #pruneIfOurs(): Promise<void> {
    const { volume, log } = this.#deps;
    try {
      await volume.useIfOurs(() => this.#prune());
    } catch (error) {
      log.error({ err: error }, 'what is past its retention could not be removed');
    }
  }

  async #prune(): Promise<void> {
    const { store, volume, clock, log, settings } = this.#deps;
    const outboundBefore = new Date(Date.parse(clock.now()) - settings.outboundTtlDays * dayMs).toISOString();
    const removed = await store.prune({ taskRunsKept: settings.taskLogRetention, outboundBefore });
    if (removed.runs + removed.outbound === 0) return;
    log.info(removed, 'what is past its retention is removed');
    await volume.sync();
  }
}
