/** The short form of a long life; see soak.ts. */

import { expect, it, vi } from 'vitest';
import { seedOfTest } from './random.ts';
import { soak } from './soak.ts';

// On a machine that is busy with other things.
vi.setConfig({ testTimeout: 600_000 });

it('a server with more conversations than processes loses and mixes up nothing, and holds no more than it needs', async () => {
  const { faults, counts, looks } = await soak({
    runs: 60,
    conversations: 8,
    kept: 3,
    seed: seedOfTest(),
    lookEvery: 20,
    tell: (text) => console.info(text),
  });

  expect(faults).toEqual([]);
  expect(counts.success).toBeGreaterThan(40);
  expect(looks).toHaveLength(3);
});
