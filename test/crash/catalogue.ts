/** Every moment at which a kill can be placed, found out from what an instance did that was not killed. */

import type { Line } from './plan.ts';
import type { Strike } from './rounds.ts';

const halves = /^(write|writev|writeFile)$/;

/**
 * The first of each kind before its repetitions, so that whatever is left out for want of time is more of the same.
 *
 * `maxNth`: how many of one kind.
 */
export function listStrikes(lines: Line[], { maxNth, by }: { maxNth: number; by: Strike['by'] }): Strike[] {
  const strikes: Strike[] = [];
  for (const [kind, { name, times }] of countKinds(lines)) {
    const phases: Strike['phase'][] = halves.test(name) ? ['before', 'half', 'after'] : ['before', 'after'];
    for (let nth = 1; nth <= Math.min(times, maxNth); nth += 1)
      for (const phase of phases) strikes.push({ kind, nth, phase, by });
  }
  return strikes.sort((one, other) => one.nth - other.nth);
}

/** Of one process. */
export function countKinds(lines: Line[]): Map<string, { name: string; times: number }> {
  const counts = new Map<string, { name: string; times: number }>();
  for (const { kind, name, phase } of lines) {
    if (phase !== 'before') continue;
    counts.set(kind, { name, times: (counts.get(kind)?.times ?? 0) + 1 });
  }
  return counts;
}
