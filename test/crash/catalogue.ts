/** Every moment at which a kill can be placed, found out from what an instance did that was not killed. */

import type { Place } from './place.ts';
import type { Line } from './plan.ts';
import type { Random } from './random.ts';
import { round, type Strike } from './rounds.ts';

const halves = /^(write|writev|writeFile)$/;
const reads = /^\w+ (read|readdir|readFile|stat|lstat|close|open r) /;

/** Of one process. The first of each kind before its repetitions: what is left out for want of time is more of the same. */
function listStrikes(lines: Line[]): Strike[] {
  const strikes: Strike[] = [];
  for (const [kind, { name, times }] of countKinds(lines)) {
    const phases: Strike['phase'][] = halves.test(name) ? ['before', 'half', 'after'] : ['before', 'after'];
    for (let nth = 1; nth <= times; nth += 1)
      for (const phase of phases) strikes.push({ kind, nth, phase, by: 'SIGKILL' });
  }
  return strikes.sort((one, other) => one.nth - other.nth);
}

function countKinds(lines: Line[]): Map<string, { name: string; times: number }> {
  const counts = new Map<string, { name: string; times: number }>();
  for (const { kind, name, phase } of lines) {
    if (phase !== 'before') continue;
    counts.set(kind, { name, times: (counts.get(kind)?.times ?? 0) + 1 });
  }
  return counts;
}

/** What an instance does that finds a volume in use, works, makes a snapshot, loses the volume in between and stops. */
export async function learnStrikes(place: Place, random: Random): Promise<Strike[]> {
  const never: Strike = { kind: 'none', nth: 1, phase: 'before', by: 'SIGKILL' };
  await round({ place, random, strike: null, loses: false, isHeavy: false });
  await round({ place, random, strike: never, loses: false, isHeavy: true });
  const [, second = []] = place.allJournals();
  return listStrikes(second);
}

/** Of what changes the volume; before, after or in the middle of it. */
export function firstOfEachKind(strikes: Strike[], random: Random): Strike[] {
  const kinds = new Map<string, Strike[]>();
  for (const strike of strikes) {
    if (strike.nth > 1 || !/^volume /.test(strike.kind) || reads.test(strike.kind)) continue;
    kinds.set(strike.kind, [...(kinds.get(strike.kind) ?? []), strike]);
  }
  return [...kinds.values()].map((phases) => random.pick(phases));
}
