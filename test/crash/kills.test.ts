/**
 * SIGKILL at every operation that changes the volume, and at random times: what was acknowledged is there. The long form is
 * `npm run torture`.
 */

import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { firstOfEachKind, learnStrikes } from './catalogue.ts';
import { Place } from './place.ts';
import { Random, seedOfTest } from './random.ts';
import { type RoundInput, round } from './rounds.ts';

const randomKills = 6;

it('at each operation of a sync, a snapshot, a takeover and a stop, nothing acknowledged is lost', async () => {
  const random = new Random(seedOfTest());
  const moments = await learnStrikes(new Place(temporaryFolder()), random);
  const strikes = firstOfEachKind(moments, random);
  const place = new Place(temporaryFolder());
  const missed: string[] = [];
  for (const strike of strikes) {
    const { isStruck, faults } = await kill({ place, random, strike, loses: random.chance(0.5), isHeavy: true });
    expect(faults, JSON.stringify(strike)).toEqual([]);
    if (!isStruck) missed.push(strike.kind);
  }
  // What another instance does meanwhile may take an operation's turn, but not that of many.
  expect(missed.length, missed.join(', ')).toBeLessThan(strikes.length / 4);
  await endWell(place, random);
});

it('at random times under load, nothing acknowledged is lost', async () => {
  const random = new Random(seedOfTest());
  const place = new Place(temporaryFolder());
  for (let turn = 0; turn < randomKills; turn += 1) {
    const { faults } = await kill({ place, random, strike: null, loses: turn % 2 === 0, isHeavy: turn % 3 === 0 });
    expect(faults).toEqual([]);
  }
  await endWell(place, random);
});

async function kill(input: RoundInput) {
  const result = await round(input);
  return { ...result, faults: [...result.faults, ...result.lostUnflushed.slice(0, result.faults.length)] };
}

/** After the last kill the server starts, no conversation is stuck, and it works. */
async function endWell(place: Place, random: Random): Promise<void> {
  const { faults } = await round({ place, random, strike: null, loses: false, isHeavy: false });
  expect(faults).toEqual([]);
}
