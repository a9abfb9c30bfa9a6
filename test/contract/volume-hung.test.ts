/** A volume that takes its time, or does not answer at all: nobody waits for ever, and nothing is answered before its time. */

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { SyncFailed } from '../../src/store/volume/volume.ts';
import { type Matcher, watchFs } from '../support/fs-faults.ts';
import { exchange } from '../support/store-inputs.ts';
import {
  batonOf,
  conversationsOn,
  generationOf,
  makeMachine,
  makePlace,
  startMachine,
  writeLarge,
} from '../support/volume-place.ts';

const isLook: Matcher = ({ name, path }) => name === 'readdir' && path.endsWith('/baton');
const ofLog =
  (method: string): Matcher =>
  ({ name, path }) =>
    name === `handle.${method}` && path.endsWith('/wal');

/** After which a volume is said not to answer. */
const patienceMs = 20_000;
/** After which a sync is tried again by itself. */
const retryMs = 1_000;
/** After which a request is refused, and what a stop waits for. */
const requestMs = 8_000;
const stopMs = 2_000;

function errorOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => null,
    (error: unknown) => error,
  );
}

/** What was asked for has begun. */
async function soon(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** What the store waits for by the clock, for as long as the test says. Only what it sets from now on. */
function takeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  onTestFinished(() => void vi.useRealTimers());
}

describe('a volume that does not answer', () => {
  it.each([
    ['a flush', ofLog('datasync')],
    ['a look at the baton', isLook],
  ])('in %s is given up on, said so in health, and well again when it answers', async (_what, matches) => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    takeTimers();
    await a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      ids.push(conversation.id);
      const held = faults.hold(matches);
      const syncing = a.access.sync();
      syncing.catch(() => undefined);
      await held.reached;
      expect(a.access.status().durable).toBe(true);
      vi.advanceTimersByTime(patienceMs);
      await expect(syncing).rejects.toThrow(SyncFailed);
      expect(a.access.status()).toMatchObject({ durable: false, fault: expect.stringContaining('has not answered') });
      held.release();
      // By itself: nobody asks for a sync meanwhile.
      const isDurable = () => {
        vi.advanceTimersByTime(100);
        return a.access.status();
      };
      await expect.poll(isDurable).toMatchObject({ durable: true, fault: null });
      expect(conversationsOn(place)).toEqual(ids.sort());
    });
    expect(a.calls.lost).toBe(0);
  });

  it('to the look that a request begins with is well again in health, though nobody asks anew', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const id = await a.write();
    takeTimers();
    const held = faults.hold(isLook);
    const reading = errorOf(a.read());
    await held.reached;
    vi.advanceTimersByTime(patienceMs);
    expect(await reading).toMatchObject({ code: 'not_durable', status: 503 });
    expect(a.access.status()).toMatchObject({ durable: false, fault: expect.stringContaining('has not answered') });
    held.release();
    await soon();
    vi.advanceTimersByTime(retryMs);
    await expect.poll(() => a.access.status()).toMatchObject({ durable: true, fault: null });
    expect(await a.read()).toEqual([id]);
    expect(a.calls).toEqual({ lost: 0, open: 1 });
  });

  it('holds up no request for ever that waits for a takeover, and is not taken after a stop', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = makeMachine(place, 'a');
    takeTimers();
    const held = faults.hold(isLook);
    const reading = errorOf(a.read());
    await held.reached;
    vi.advanceTimersByTime(requestMs);
    expect(await reading).toMatchObject({ code: 'store_unavailable', status: 503 });
    const stopping = a.access.stop();
    await soon();
    vi.advanceTimersByTime(stopMs);
    expect(await stopping).toBe(true);
    held.release();
    // Time enough for what must not happen.
    await sleep(300);
    expect(a.access.status().durable).toBe(false);
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual([]);
  });

  it('holds up no request for ever that waits for the end of a tenure', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const b = await startMachine(place, 'b');
    takeTimers();
    const held = faults.hold(ofLog('datasync'));
    const writing = errorOf(b.write());
    await held.reached;
    const c = await startMachine(place, 'c', { self: b.self });
    const id = await c.write();
    // By the look that is taken every two seconds while something is at work.
    await expect.poll(() => b.calls.lost).toBe(1);
    const reading = errorOf(b.read());
    await soon();
    vi.advanceTimersByTime(requestMs);
    expect(await reading).toMatchObject({ code: 'store_unavailable', status: 503 });
    expect(b.access.status().durable).toBe(false);
    held.release();
    expect(await writing).toMatchObject({ status: 503 });
    expect(await b.read()).toContain(id);
    expect(b.calls).toEqual({ lost: 1, open: 2 });
  });
});

describe('a volume that takes its time', () => {
  it('holds back the answer of a read that has seen what is not on it yet', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const first = await a.write();
    const held = faults.hold(ofLog('write'));
    const writing = a.write();
    await held.reached;
    const reading = a.read().then((seen) => ({ seen, stored: conversationsOn(place) }));
    // Time enough for an answer that must not come.
    await sleep(300);
    held.release();
    const { seen, stored } = await reading;
    expect(seen).toEqual([first, await writing].sort());
    expect(stored).toEqual(seen);
  });

  it('in a checkpoint keeps no query waiting, and what is committed meanwhile is not lost', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids: string[] = [];
    await a.access.use('writes', async () => {
      const commit = async () => void ids.push((await exchange(a.store)).conversation.id);
      ids.push(await writeLarge(a.store, 5_000_000));
      const looking = faults.hold(isLook);
      const syncing = a.access.sync();
      await looking.reached;
      await commit();
      // Of the checkpoint that follows: before it folds the log in, and after.
      const before = faults.hold(ofLog('datasync'));
      looking.release();
      await syncing;
      await before.reached;
      expect(await a.store.counts()).toMatchObject({});
      await commit();
      const after = faults.hold(ofLog('datasync'));
      before.release();
      await after.reached;
      const { conversation } = await exchange(a.store);
      ids.push(conversation.id);
      after.release();
    });
    expect(conversationsOn(place)).toEqual(ids.sort());
    await a.access.stop();
    expect(await (await startMachine(place, 'b')).read()).toEqual(ids);
  });
});

describe('an instance that cannot use what it takes', () => {
  it('leaves the volume alone for a while, for longer each time, and refuses at once meanwhile', async () => {
    const place = makePlace();
    const b = await startMachine(place, 'b');
    const id = await b.write();
    let isWell = false;
    const a = makeMachine(place, 'a', {
      onOpen: async () => {
        if (!isWell) throw new Error('made up by the test');
      },
    });
    takeTimers();
    await expect(a.access.start()).rejects.toThrow('made up by the test');
    for (const [attempts, waitMs] of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000].entries()) {
      const baton = batonOf(place);
      await expect(a.read()).rejects.toMatchObject({ code: 'store_unavailable' });
      vi.advanceTimersByTime(waitMs - 1);
      await expect(a.read()).rejects.toMatchObject({ code: 'store_unavailable' });
      await expect(a.write()).rejects.toMatchObject({ code: 'store_unavailable' });
      expect(a.calls.open).toBe(attempts + 1);
      expect(batonOf(place)).toBe(baton);
      vi.advanceTimersByTime(1);
      await expect(a.read()).rejects.toMatchObject({ code: 'store_unavailable' });
      expect(a.calls.open).toBe(attempts + 2);
    }
    expect(await b.read()).toEqual([id]);
    expect(generationOf(place).number).toBeGreaterThan(8);
    isWell = true;
    vi.advanceTimersByTime(30_000);
    expect(await a.read()).toEqual([id]);
  });
});
