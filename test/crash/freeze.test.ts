/** SIGSTOP, another instance at work, SIGCONT: what either has acknowledged is there, and neither answers from the past. */

import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { sharedFolder } from '../support/temporary-folder.ts';
import { Place } from './place.ts';
import { Random, seedOfTest } from './random.ts';
import { load, makeClients, round, type Strike } from './rounds.ts';

// On a machine that is busy with other things.
// Tests that run at once cannot each have a folder of their own that is removed at its end.
const folder = sharedFolder();
const makePlace = () => new Place(mkdtempSync(join(folder, 'place-')));

it('right after an answer: another takes over at once, and the first, thawed, serves what both have acknowledged', async () => {
  const random = new Random(seedOfTest());
  const place = makePlace();
  const [first, second] = [await place.start(), await place.start({ local: 'local-b' })];
  const clients = makeClients(place, random);
  for (let turn = 0; turn < 2; turn += 1) {
    const [one, other] = turn % 2 === 0 ? [first, second] : [second, first];
    await load(clients, random, { requests: 8, machines: () => [one] });
    one.freeze();
    const before = place.ledger.acknowledged;
    await load(clients, random, { requests: 8, machines: () => [other] });
    expect(place.ledger.acknowledged, 'the other works').toBeGreaterThan(before);
    one.thaw();
    await load(clients, random, { requests: 4, machines: () => [first, second] });
    expect(place.look()).toMatchObject({ unreadable: [], lost: [] });
  }
  await place.killAll();
  expect(place.look()).toMatchObject({ unreadable: [], lost: [] });
});

const moments: [string, Omit<Strike, 'by'> & { isHeavy: boolean }][] = [
  ['of a sync, before its flush', { kind: 'volume datasync G/wal', nth: 5, phase: 'before', isHeavy: false }],
  [
    'of a snapshot, before the baton is passed',
    { kind: 'volume rename baton/G -> baton/G', nth: 1, phase: 'before', isHeavy: true },
  ],
  [
    'of a takeover, after the seal',
    { kind: 'volume rename baton/G -> baton/G-s-N', nth: 1, phase: 'after', isHeavy: false },
  ],
];

it.concurrent.each(moments)('in the middle %s', async (_, { isHeavy, ...point }) => {
  const random = new Random(seedOfTest());
  const place = makePlace();
  await round({ place, random, strike: null, loses: false, isHeavy: false });
  const { isStruck, faults } = await round({
    place,
    random,
    strike: { ...point, by: 'SIGSTOP' },
    loses: true,
    isHeavy,
  });
  expect(isStruck, 'it was frozen').toBe(true);
  expect(faults).toEqual([]);
});
