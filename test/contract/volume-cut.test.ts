/** A takeover, a first start or a snapshot that is cut off at any change it makes to the volume is finished by the next start. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type FsFaults, isChange, makeFsError, watchFs } from '../support/fs-faults.ts';
import { until } from '../support/until.ts';
import {
  batonOf,
  conversationsOn,
  foldersOf,
  forceSnapshot,
  type Machine,
  makeDeadInstance,
  makeMachine,
  makePlace,
  onVolume,
  type Place,
  startMachine,
  writeVersion1,
} from '../support/volume-place.ts';

const mostChanges = 200;
/** At once: the machine waits for its disk most of the time. */
const batch = 10;

type Life = {
  begin: (place: Place) => Promise<string[]>;
  live: (machine: Machine, place: Place, acknowledge: (id: string) => void, isCut: () => boolean) => Promise<void>;
  check?: (place: Place) => void;
};

/**
 * The life of a process that is cut off at each of its changes in turn, until it gets through. Returns how many changes
 * there are.
 */
async function cutEverywhere(life: Life): Promise<number> {
  const faults = watchFs(tmpdir(), { withoutFlushes: true });
  for (let first = 0; first < mostChanges; first += batch) {
    const numbers = Array.from({ length: batch }, (_, i) => first + i);
    const wasCut = await Promise.all(numbers.map((number) => cutAt(faults, number, life)));
    const through = wasCut.indexOf(false);
    if (through >= 0) return first + through;
  }
  throw new Error('it was never through');
}

/** From the change with this number on, nothing reaches the volume any more. Returns whether there was one. */
async function cutAt(faults: FsFaults, number: number, { begin, live, check }: Life): Promise<boolean> {
  const place = makePlace();
  const expected = await begin(place);
  const victim = makeMachine(place, 'victim', { self: makeDeadInstance('victim') });
  let changes = 0;
  const mend = faults.before((operation) => {
    if (!operation.path.startsWith(place.storeDir) || !isChange(operation)) return;
    changes += 1;
    if (changes > number) throw makeFsError('EIO', operation);
  });
  const acknowledge = (id: string) => void expected.push(id);
  await live(victim, place, acknowledge, () => changes > number).catch(() => undefined);
  await victim.access.stop();
  mend();

  // Beside what was acknowledged there may be what only reached the volume.
  const next = await startMachine(place, 'next');
  const found = await next.read();
  expect([number, found]).toEqual([number, expect.arrayContaining(expected)]);
  expect(found).toEqual(conversationsOn(place));
  expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  expect(next.lines.filter(({ level }) => level >= 40)).toEqual([]);
  check?.(place);
  const names = readdirSync(place.storeDir).filter((name) => name !== 'messages.v1.db');
  expect([number, ...names.sort()]).toEqual([number, ...[batonOf(place), 'baton', 'messages.db'].sort()]);
  await next.access.stop();
  return changes > number;
}

describe('cut off at any of its changes', () => {
  it('a first start of an empty volume', async () => {
    const changes = await cutEverywhere({
      begin: async () => [],
      live: async (machine, _place, acknowledge) => {
        await machine.access.start();
        acknowledge(await machine.write());
      },
    });
    expect(changes).toBeGreaterThan(15);
  });

  it('a first start with a database of 1.x, which is kept byte for byte', async () => {
    const originals = new Map<string, Buffer>();
    const changes = await cutEverywhere({
      begin: async (place) => {
        originals.set(place.root, writeVersion1(place));
        return ['c-1'];
      },
      live: async (machine, _place, acknowledge) => {
        await machine.access.start();
        acknowledge(await machine.write());
      },
      check: (place) => {
        expect(readFileSync(join(place.storeDir, 'messages.v1.db'))).toEqual(originals.get(place.root));
        expect(existsSync(place.database)).toBe(true);
      },
    });
    expect(changes).toBeGreaterThan(15);
  });

  it('a takeover and a sync', async () => {
    const changes = await cutEverywhere({
      begin: async (place) => {
        const a = await startMachine(place, 'a');
        const ids = [await a.write(), await a.write()];
        await a.access.stop();
        return ids;
      },
      live: async (machine, _place, acknowledge) => {
        await machine.access.start();
        acknowledge(await machine.write());
      },
    });
    expect(changes).toBeGreaterThan(12);
  });

  it('a snapshot', async () => {
    const changes = await cutEverywhere({
      begin: async () => [],
      live: async (machine, place, acknowledge, isCut) => {
        await machine.access.start();
        acknowledge(await machine.write());
        forceSnapshot(place);
        acknowledge(await machine.write());
        const isMade = () => foldersOf(place).length === 1 && machine.access.status().lastSnapshot !== null;
        await until('the snapshot is made or cut off', () => isMade() || isCut());
        acknowledge(await machine.write());
      },
    });
    expect(changes).toBeGreaterThan(30);
  });
});
