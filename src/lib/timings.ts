/**
 * What a request spends its time on. The parts are measured far below the request that wants to know, so the measure goes
 * with the asynchronous context, and no function between has to hand it on.
 */

import { AsyncLocalStorage } from 'node:async_hooks';

/** Milliseconds, summed up. */
export type Timings = Partial<Record<'hydrate' | 'sync' | 'agent', number>>;

const current = new AsyncLocalStorage<Timings>();

/** Everything that `work` begins, also what goes on after it, is counted in `timings`. */
export function withTimings<T>(timings: Timings, work: () => T): T {
  return current.run(timings, work);
}

export async function timed<T>(part: keyof Timings, work: () => Promise<T>): Promise<T> {
  const timings = current.getStore();
  if (timings === undefined) return work();
  const startedAt = performance.now();
  try {
    return await work();
  } finally {
    timings[part] = (timings[part] ?? 0) + performance.now() - startedAt;
  }
}
