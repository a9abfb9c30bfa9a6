/** A clock that stands still until the test moves it. */

import type { Clock } from '../../src/lib/clock.ts';

export type SetClock = Clock & {
  /** UTC, ISO 8601. */
  set(at: string): void;
  advance(by: { ms?: number; seconds?: number; minutes?: number; hours?: number; days?: number }): void;
};

export function makeClock(start = '2026-03-02T12:00:00.000Z'): SetClock {
  let at = Date.parse(start);
  return {
    now: () => new Date(at).toISOString(),
    set: (time) => {
      at = Date.parse(time);
    },
    advance: ({ ms = 0, seconds = 0, minutes = 0, hours = 0, days = 0 }) => {
      at += ms + 1000 * (seconds + 60 * (minutes + 60 * (hours + 24 * days)));
    },
  };
}
