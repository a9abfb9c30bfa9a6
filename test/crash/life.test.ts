/** The short form of a serverless life; see life.ts. */

import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { liveServerless } from './life.ts';
import { Place } from './place.ts';
import { Random, seedOfTest } from './random.ts';

// On a machine that is busy with other things.
it('three instances that are frozen, thawed, killed and started under load lose nothing, and never answer from the past', async () => {
  const place = new Place(temporaryFolder());
  const { faults } = await liveServerless({ place, random: new Random(seedOfTest()), rounds: 25 });
  expect(faults).toEqual([]);
  expect(place.ledger.acknowledged).toBeGreaterThan(25);
});
