/**
 * The spares: when one is started, when none is, and what it does until it is needed. They are among the processes of
 * `processes.ts`, which says where there is room and ends them.
 */

import { randomUUID } from 'node:crypto';
import type { Log } from '../lib/log.ts';
import type { LiveProcess, Wanted } from './live-process.ts';

/** A process, or what it said when it could not be started. */
export type Started = LiveProcess | { complaints: string };

export type Spare = {
  /** False once it is a run's. */
  isSpare: boolean;
  /** Its process is there, or will never be. */
  begun: PromiseWithResolvers<void>;
  started: Promise<Started>;
};

export type SparesDeps<S extends Spare> = {
  /** How many there should be. */
  count: number;
  /** What one is started for: a run without wishes. Rejects when that cannot be read. */
  wantedBySpare: (sessionId: string) => Promise<Wanted>;
  /** How many there are, but for those that are ending. */
  there: () => number;
  hasRoom: () => boolean;
  /** Two starts at once take twice as long each, and a run waits for the one. */
  isRunStarting: () => boolean;
  begin: (wanted: Wanted) => S;
  end: (spare: S) => Promise<void>;
  /** Called when fewer are to come. */
  onChange: () => void;
  log: Log;
};

const refillAfterMs = 250;

/** Of two that die within it, the second is not replaced. */
const dieMs = 60_000;

export class Spares<S extends Spare> {
  readonly #deps: SparesDeps<S>;
  #areKept = false;
  #refill: NodeJS.Timeout | null = null;
  #toCome = 0;
  #diedAt = Number.NEGATIVE_INFINITY;
  /** Runs have asked for another model than a spare's, which one that has rehearsed cannot be changed to. */
  #modelsDiffer = false;

  constructor(deps: SparesDeps<S>) {
    this.#deps = deps;
  }

  /** How many are about to begin, and take room already. */
  get toCome(): number {
    return this.#toCome;
  }

  /** Starts them, and keeps them from now on. Resolves when they are on their way. */
  async keep(): Promise<void> {
    this.#areKept = true;
    await Promise.all(this.#fillUp());
  }

  stop(): void {
    this.#areKept = false;
    if (this.#refill !== null) clearTimeout(this.#refill);
  }

  /** A moment later: the start of a spare must not slow down the run that has taken the one before. */
  fillUpSoon(): void {
    if (!this.#areKept || this.#refill !== null) return;
    this.#refill = setTimeout(() => {
      this.#refill = null;
      void Promise.all(this.#fillUp());
    }, refillAfterMs).unref();
  }

  /** A run has taken one; `has` and `wants` are models. */
  taken({ has, wants }: { has: string | null; wants: string | null }): void {
    this.#modelsDiffer ||= has !== wants;
    this.fillUpSoon();
  }

  /**
   * One has died while it waited. Whether it is to be replaced: of those that die one after another that would go on for ever,
   * so the next conversation tries again.
   */
  died(): boolean {
    const isFirstForLong = performance.now() - this.#diedAt > dieMs;
    this.#diedAt = performance.now();
    return isFirstForLong;
  }

  /** Each resolves when a spare is on its way. */
  #fillUp(): Promise<void>[] {
    const { count, there, hasRoom, isRunStarting } = this.#deps;
    if (isRunStarting()) {
      this.fillUpSoon();
      return [];
    }
    const begun: Promise<void>[] = [];
    for (let missing = count - there() - this.#toCome; missing > 0 && hasRoom(); missing -= 1) {
      this.#toCome += 1;
      begun.push(this.#begin());
    }
    return begun;
  }

  /** Never rejects: a run that finds no spare starts its own, and is told why that fails. */
  async #begin(): Promise<void> {
    const { wantedBySpare, isRunStarting, begin, onChange, log } = this.#deps;
    try {
      const wanted = await wantedBySpare(randomUUID()).finally(() => {
        this.#toCome -= 1;
        onChange();
      });
      if (!this.#areKept) return;
      // In the meantime.
      if (isRunStarting()) return this.fillUpSoon();
      const spare = begin(wanted);
      void this.#rehearse(spare);
      await spare.begun.promise;
    } catch (error) {
      log.warn({ err: error }, 'no spare claude process could be started');
    }
  }

  async #rehearse(spare: S): Promise<void> {
    const started = await spare.started;
    // Not tried again at once: the next conversation does.
    if ('complaints' in started) await this.#deps.end(spare);
    else if (spare.isSpare && !this.#modelsDiffer) await started.process.rehearse();
  }
}
