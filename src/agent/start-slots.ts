/**
 * How many processes may be starting at once. A start takes most of a core for half a second: twenty at a time on two
 * cores would each take seven seconds. The rest wait for their turn, in order, and may give up waiting.
 */

import pLimit from 'p-limit';

/** Gives the slot back; more than once is harmless. */
export type Release = () => void;

export type StartSlots = {
  /** Null when the signal aborted before it was this one's turn. */
  take(signal: AbortSignal): Promise<Release | null>;
};

export function makeStartSlots(maxConcurrentStarts: number): StartSlots {
  const limit = pLimit(maxConcurrentStarts);
  return {
    take: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return resolve(null);
        const giveUp = () => resolve(null);
        signal.addEventListener('abort', giveUp, { once: true });
        limit(async () => {
          signal.removeEventListener('abort', giveUp);
          if (!signal.aborted) await new Promise<void>((release) => resolve(release));
        }).catch(reject);
      }),
  };
}
