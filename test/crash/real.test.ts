/** The same with the real agent and its processes: one kill under load, one start after it. */

import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Model } from '../support/model.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { Place } from './place.ts';
import { Random, seedOfTest } from './random.ts';
import { roundWithRealAgent, startNotingModel } from './real.ts';

// On a machine that is busy with other things.
let model: Model;
beforeAll(async () => {
  model = await startNotingModel();
});
afterAll(() => model.stop());

it('the whole server, killed while it works, has what it acknowledged, and goes on with it', async () => {
  const random = new Random(seedOfTest());
  const place = new Place(temporaryFolder());
  for (const acknowledgements of [4, 2]) {
    const { faults } = await roundWithRealAgent({ place, random, modelUrl: model.url, loses: true, acknowledgements });
    expect(faults).toEqual([]);
  }
});
