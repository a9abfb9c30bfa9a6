/** A file system that refuses: nothing is acknowledged meanwhile, health says why, and what was owed is made good. */

import { readlinkSync, renameSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { SyncFailed } from '../../src/store/volume/volume.ts';
import { isChange, type Matcher, watchFs } from '../support/fs-faults.ts';
import { exchange } from '../support/store-inputs.ts';
import {
  batonOf,
  conversationsOn,
  foldersOf,
  forceSnapshot,
  generationOf,
  listConversations,
  makeMachine,
  makePlace,
  startMachine,
} from '../support/volume-place.ts';

const ofLog =
  (name: string): Matcher =>
  (operation) =>
    operation.name === `handle.${name}` && operation.path.endsWith('/wal');
const ofBaton: Matcher = ({ name, path }) => name === 'readdir' && path.endsWith('/baton');

const words: Record<string, string> = {
  ENOSPC: 'the volume is full',
  EIO: 'the volume has an I/O error',
  EROFS: 'the volume is read-only',
};

describe('a sync', () => {
  const faulty: [string, string, Matcher, 'before' | 'after'][] = [
    ['ENOSPC', 'a write', ofLog('write'), 'before'],
    ['EIO', 'a write that was done', ofLog('write'), 'after'],
    ['EROFS', 'a write', ofLog('write'), 'before'],
    ['EIO', 'a flush', ofLog('datasync'), 'before'],
    ['ENOSPC', 'a flush that was done', ofLog('datasync'), 'after'],
    ['EIO', 'the look at the baton', ofBaton, 'before'],
  ];

  it.each(faulty)(
    'that meets %s in %s refuses, says so, and the next makes all durable',
    async (code, _at, matches, when) => {
      const place = makePlace();
      const faults = watchFs(place.storeDir);
      const a = await startMachine(place, 'a');
      const ids = [await a.write()];
      const baton = batonOf(place);
      await a.access.use('writes', async () => {
        const { conversation } = await exchange(a.store);
        ids.push(conversation.id);
        const heal = faults.fail(code, matches, when);
        await expect(a.access.sync()).rejects.toThrow(SyncFailed);
        await expect(a.access.sync()).rejects.toThrow(place.storeDir);
        expect(a.access.status()).toMatchObject({ durable: false, fault: words[code], owner: null });
        heal();
        // What is owed is what failed: nothing was committed since.
        await a.access.sync();
        expect(a.access.status()).toMatchObject({ durable: true, fault: null });
        expect(conversationsOn(place)).toEqual(ids.sort());
      });
      expect(batonOf(place)).toBe(baton);
      expect(a.calls).toEqual({ lost: 0, open: 1 });
      const b = await startMachine(place, 'b');
      expect(await b.read()).toEqual(ids);
    },
  );

  it('that failed is tried again by itself, and health is good again', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      const heal = faults.fail('ENOSPC', ofLog('write'));
      await expect(a.access.sync()).rejects.toThrow(SyncFailed);
      heal();
      await expect.poll(() => a.access.status()).toMatchObject({ durable: true, fault: null });
      expect(conversationsOn(place)).toEqual([conversation.id]);
    });
  });

  it('that finds no baton is refused: a volume that is not mounted is not another owner', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      renameSync(place.storeDir, `${place.storeDir}.away`);
      await expect(a.access.sync()).rejects.toThrow('is the volume mounted?');
      expect(a.access.status().durable).toBe(false);
      renameSync(`${place.storeDir}.away`, place.storeDir);
      await a.access.sync();
      expect(conversationsOn(place)).toEqual([conversation.id]);
    });
    expect(a.calls.lost).toBe(0);
  });
});

describe('a request', () => {
  it('is not answered from memory while the volume does not say whose it is', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const id = await a.write();
    const heal = faults.fail('EIO', ofBaton);
    await expect(a.read()).rejects.toMatchObject({ code: 'not_durable', status: 503 });
    await expect(a.write()).rejects.toMatchObject({ code: 'not_durable' });
    expect(a.access.status()).toMatchObject({ durable: false, fault: words.EIO });
    heal();
    expect(await a.read()).toEqual([id]);
    expect(a.calls.lost).toBe(0);
  });

  it('that had read already is not answered either', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    let heal: (() => void) | null = null;
    const reading = a.access.use('reads', async () => {
      heal = faults.fail('EIO', ofBaton);
      return listConversations(a.store);
    });
    await expect(reading).rejects.toMatchObject({ code: 'not_durable' });
    expect(heal).not.toBeNull();
  });
});

describe('a snapshot', () => {
  const onTheWay: [string, string, Matcher][] = [
    ['ENOSPC', 'mkdir', ({ name }) => name === 'mkdir'],
    ['ENOSPC', 'copying the base', ({ name, path }) => name === 'handle.write' && path.endsWith('messages.db')],
    ['EIO', 'flushing the base', ({ name, path }) => name === 'handle.sync' && path.endsWith('messages.db')],
    ['EROFS', 'the digest', ({ name, path }) => name === 'handle.writeFile' && path.endsWith('sha256')],
    ['EIO', 'link', ({ name }) => name === 'link'],
  ];

  it.each(onTheWay)('that meets %s in %s is given up without harm', async (code, _at, matches) => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const heal = faults.fail(code, matches);
    forceSnapshot(place);
    ids.push(await a.write());
    await expect
      .poll(() => a.lines.map(({ msg }) => msg))
      .toContainEqual(expect.stringContaining('a snapshot could not be made'));
    // What it had begun is gone, and syncs go on.
    await expect.poll(() => foldersOf(place)).toEqual([batonOf(place)]);
    ids.push(await a.write());
    expect(conversationsOn(place)).toEqual(ids.sort());
    expect(a.access.status()).toMatchObject({ durable: true, epoch: 1 });
    heal();
    // It is left alone for a while, and then made with the next sync.
    const later = async () => {
      ids.push(await a.write());
      return a.access.status().epoch;
    };
    await expect.poll(later).toBe(2);
    expect(conversationsOn(place)).toEqual(ids.sort());
    expect(a.calls.lost).toBe(0);
  });

  it('whose rename is not answered ends the tenure: it may have been done, or be done later', async () => {
    for (const when of ['before', 'after'] as const) {
      const place = makePlace();
      const faults = watchFs(place.storeDir);
      const a = await startMachine(place, 'a');
      const ids = [await a.write()];
      const heal = faults.fail('EIO', ({ name, path }) => name === 'rename' && path.includes('/baton/'), when);
      forceSnapshot(place);
      ids.push(await a.write());
      await expect.poll(() => generationOf(place).number + a.calls.lost).toBe(2);
      heal();
      ids.push(await a.write());
      expect(await a.read()).toEqual(ids.sort());
      expect(conversationsOn(place)).toEqual(ids);
    }
  });

  it('whose baton could not be flushed acknowledges nothing before it is', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const heal = faults.fail('EIO', ({ name, path }) => name === 'handle.sync' && path.endsWith('/baton'));
    forceSnapshot(place);
    ids.push(await a.write());
    await expect.poll(() => generationOf(place).number).toBe(2);
    await expect(a.write()).rejects.toThrow(SyncFailed);
    expect(a.access.status()).toMatchObject({ durable: false, fault: words.EIO });
    heal();
    ids.push(await a.write());
    expect(conversationsOn(place)).toEqual(expect.arrayContaining(ids));
    expect(a.calls.lost).toBe(0);
  });
});

describe('a start', () => {
  it.each(['ENOSPC', 'EIO', 'EROFS'])(
    'that meets %s fails with it, and standing by takes the volume once it is well',
    async (code) => {
      const place = makePlace();
      const a = await startMachine(place, 'a');
      const id = await a.write();
      await a.access.stop();
      const faults = watchFs(place.storeDir);
      const b = makeMachine(place, 'b');
      const heal = faults.fail(code, isChange);
      await expect(b.access.start()).rejects.toMatchObject({ code });
      expect(b.access.status()).toMatchObject({ durable: false, fault: words[code] });
      await expect(b.read()).rejects.toMatchObject({ code: 'store_unavailable' });
      heal();
      await expect.poll(() => b.access.status().durable).toBe(true);
      expect(await b.read()).toEqual([id]);
    },
  );

  it('that cannot make the link for people says so, and serves', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const heal = faults.fail('EROFS', ({ name }) => name === 'symlink');
    const a = await startMachine(place, 'a');
    const id = await a.write();
    expect(a.lines.filter(({ level }) => level >= 40).map(({ msg }) => msg)).toEqual([
      'the link to the database, for people, could not be made',
    ]);
    heal();
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual([id]);
    expect(readlinkSync(place.database)).toContain(batonOf(place));
  });

  it('on a file system without hard links copies what it would link', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    faults.fail('EPERM', ({ name }) => name === 'link');
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const b = await startMachine(place, 'b');
    ids.push(await b.write());
    expect(await a.read()).toEqual(ids.sort());
    expect(conversationsOn(place)).toEqual(ids);
  });
});
