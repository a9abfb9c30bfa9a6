/** A harness that finds nothing may be one that cannot: here it must. */

import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { Place } from './place.ts';
import { Random, seedOfTest } from './random.ts';
import { round } from './rounds.ts';

const maxRounds = 12;

it('finds what is lost when flushing does nothing', async () => {
  const random = new Random(seedOfTest());
  const place = new Place(temporaryFolder());
  for (let turn = 0; turn < maxRounds; turn += 1) {
    const { missing } = await round({ place, random, strike: null, loses: true, isHeavy: false, isLying: true });
    expect(place.ledger.acknowledged, 'the instance works').toBeGreaterThan(0);
    if (missing.length > 0) return;
  }
  expect.unreachable(`${maxRounds} power cuts on a volume that never flushes, and nothing was missed`);
});
