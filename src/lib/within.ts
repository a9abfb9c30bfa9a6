import { setTimeout as sleep } from 'node:timers/promises';

/** Null when the work takes longer; what it then comes to is its owner's affair. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T | null> {
  const timer = new AbortController();
  try {
    return await Promise.race([work, sleep(ms, null, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}
