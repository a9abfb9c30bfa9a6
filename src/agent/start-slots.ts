/**
 * How many processes may be starting at once. A start takes most of a core for half a second: twenty at a time on two
 * cores would each take seven seconds. The rest wait for their turn, in order, and may give up waiting. What a starting
 * process reads can be changed between two starts.
 */

import pLimit from 'p-limit';

/** Gives the slot back; more than once is harmless. */
export type Release = () => void;

export type StartSlots = {
  /** Null when the signal aborted before it was this one's turn. */
  take(signal: AbortSignal): Promise<Release | null>;
  /**
   * Does the work while nothing is starting, in its turn; what comes later waits until it is done. Resolves or rejects as
   * the work does, which must not wait for a start itself.
   */
  betweenStarts<T>(work: () => Promise<T>): Promise<T>;
};

export function makeStartSlots(maxConcurrentStarts: number): StartSlots {
  const limit = pLimit(maxConcurrentStarts);

  function take(signal: AbortSignal): Promise<Release | null> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return resolve(null);
      const giveUp = () => resolve(null);
      signal.addEventListener('abort', giveUp, { once: true });
      limit(async () => {
        signal.removeEventListener('abort', giveUp);
        if (!signal.aborted) await new Promise<void>((release) => resolve(release));
      }).catch(reject);
    });
  }

  return {
    take,
    betweenStarts: async (work) => {
      const never = new AbortController().signal;
      // Whoever holds every slot is alone. Asked for all at once, so that two who want them cannot hold up each other.
      const releases = await Promise.all(Array.from({ length: maxConcurrentStarts }, () => take(never)));
      try {
        return await work();
      } finally {
        for (const release of releases) release?.();
      }
    },
  };
}
