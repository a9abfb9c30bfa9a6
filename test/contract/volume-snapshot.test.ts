/** Snapshots are made while writing goes on: nothing is lost, nothing old stays, and one that is cut off leaves nothing. */

import { readlinkSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { watchFs } from '../support/fs-faults.ts';
import {
  batonOf,
  conversationsOn,
  folderOf,
  foldersOf,
  forceSnapshot,
  generationOf,
  makePlace,
  onVolume,
  startMachine,
  writeLarge,
} from '../support/volume-place.ts';

/** A lease is written again after two seconds. */
const leaseRenewalMs = 2_500;

describe('a snapshot', () => {
  it('follows when the log has grown, takes its content into the base, and the link follows it', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const before = folderOf(place);
    const ids: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      const id = await a.access.use('writes', async () => {
        const large = await writeLarge(a.store, 1_000_000);
        await a.access.sync();
        return large;
      });
      ids.push(id);
    }
    await expect.poll(() => a.access.status().lastSnapshot).not.toBeNull();
    expect(a.access.status()).toMatchObject({ epoch: 2, durable: true });
    ids.push(await a.write());
    expect(folderOf(place)).not.toBe(before);
    expect(statSync(join(folderOf(place), 'messages.db')).size).toBeGreaterThan(4_000_000);
    expect(statSync(join(folderOf(place), 'wal')).size).toBeLessThan(4_000_000);
    expect(conversationsOn(place)).toEqual(ids.sort());
    await expect.poll(() => readlinkSync(place.database)).toBe(join(batonOf(place), 'messages.db'));
    await expect.poll(() => foldersOf(place)).toEqual([batonOf(place)]);
    // The runtime database's own log was folded in, and does not grow without end.
    expect(a.access.status().databaseBytes).toBeGreaterThan(4_000_000);
  });

  it('loses nothing of what is written meanwhile, whenever that is', async () => {
    const step = fc.record({
      bytes: fc.constantFrom(1, 10, 5000, 400_000),
      force: fc.boolean(),
      together: fc.integer({ min: 1, max: 4 }),
      wait: fc.nat(3),
    });
    watchFs(tmpdir(), { withoutFlushes: true });
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 25 }), async (steps) => {
      const place = makePlace();
      const a = await startMachine(place, 'a');
      const acknowledged: string[] = [await a.write()];
      for (const { bytes, force, together, wait } of steps) {
        if (force) forceSnapshot(place);
        const writes = Array.from({ length: together }, () =>
          a.access.use('writes', async () => {
            const id = await writeLarge(a.store, bytes);
            await a.access.sync();
            acknowledged.push(id);
          }),
        );
        await Promise.all(writes);
        for (let turn = 0; turn < wait * 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      }
      expect(await a.read()).toEqual([...acknowledged].sort());
      await a.access.stop();
      expect(a.calls.lost).toBe(0);
      expect(conversationsOn(place)).toEqual(acknowledged.sort());
      expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
      const b = await startMachine(place, 'b');
      expect(await b.read()).toEqual(acknowledged);
      expect(b.lines.filter(({ level }) => level >= 40)).toEqual([]);
      await b.access.stop();
    });
    await fc.assert(property, { numRuns: 8 });
  });

  it('holds nobody up while the base is copied', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const copying = faults.hold(({ name, path }) => name === 'handle.write' && path.endsWith('messages.db'));
    forceSnapshot(place);
    ids.push(await a.write());
    await copying.reached;
    for (let i = 0; i < 5; i += 1) ids.push(await a.write());
    expect(await a.read()).toEqual([...ids].sort());
    expect(conversationsOn(place)).toEqual([...ids].sort());
    expect(generationOf(place).number).toBe(1);
    copying.release();
    await expect.poll(() => generationOf(place).number).toBe(2);
    expect(conversationsOn(place)).toEqual(ids.sort());
  });

  it('has taken along, when it is passed to, what was acknowledged in its last moment', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const copying = faults.hold(({ name, path }) => name === 'handle.write' && path.endsWith('messages.db'));
    forceSnapshot(place);
    ids.push(await a.write());
    await copying.reached;
    ids.push(await a.write());
    const before = folderOf(place);
    const catchingUp = faults.hold(
      ({ name, path }) => name === 'handle.write' && path.endsWith('/wal') && !path.startsWith(before),
    );
    copying.release();
    await catchingUp.reached;
    ids.push(await a.write());
    const passing = faults.hold(({ name, path }) => name === 'rename' && path.includes('/baton/'), 'after');
    catchingUp.release();
    await passing.reached;
    expect(folderOf(place)).not.toBe(before);
    expect(conversationsOn(place)).toEqual(ids.sort());
    passing.release();
    await expect.poll(() => a.access.status().epoch).toBe(2);
  });

  it('is whole, and so is the log, where a file system writes less at a time than it is asked to', async () => {
    const place = makePlace();
    const faults = watchFs(place.root);
    faults.cutShort(() => true);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    forceSnapshot(place);
    ids.push(await a.write());
    await expect.poll(() => a.access.status().lastSnapshot).not.toBeNull();
    ids.push(await a.write());
    expect(conversationsOn(place)).toEqual([...ids].sort());
    await a.access.stop();
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids.sort());
    expect(b.lines.filter(({ level }) => level >= 40)).toEqual([]);
    expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });

  it('that another instance has overtaken fails at its rename, and leaves no folder for ever', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const copying = faults.hold(({ name, path }) => name === 'handle.write' && path.endsWith('messages.db'));
    forceSnapshot(place);
    ids.push(await a.write());
    await copying.reached;
    const leftover = foldersOf(place).find((name) => name !== batonOf(place));
    const b = await startMachine(place, 'b', { self: a.self });
    ids.push(await b.write());
    copying.release();
    // Asked again, it finds out and takes over in its turn.
    expect(await a.read()).toEqual([...ids].sort());
    expect(a.calls).toEqual({ lost: 1, open: 2 });
    ids.push(await a.write());
    expect(await b.read()).toEqual(ids.sort());
    expect(foldersOf(place)).not.toContain(leftover);
    expect(foldersOf(place)).toEqual([batonOf(place)]);
  });

  it('whose rename comes too late lets go of all that it held', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const passing = faults.hold(({ name, path }) => name === 'rename' && path.includes('/baton/'));
    forceSnapshot(place);
    // At work meanwhile: it says so in the folder that it is about to pass the baton to.
    const ending = Promise.withResolvers<void>();
    const working = a.access.use('writes', async () => {
      ids.push(await a.write());
      await passing.reached;
      await ending.promise;
    });
    await passing.reached;
    const b = await startMachine(place, 'b', { self: a.self });
    ids.push(await b.write());
    passing.release();
    await expect.poll(() => a.calls.lost).toBe(1);
    ending.resolve();
    await expect(working).rejects.toMatchObject({ code: 'store_owned_elsewhere' });
    expect(await a.read()).toEqual(expect.arrayContaining(ids.slice(0, 1)));
    await a.access.stop();
    await b.access.stop();
    expect(faults.openPaths()).toEqual([]);
    expect(conversationsOn(place)).toEqual(expect.arrayContaining(ids));
    // Nobody goes on saying that he is at work.
    faults.take();
    await sleep(leaseRenewalMs);
    expect(faults.take()).toEqual([]);
  });
});
