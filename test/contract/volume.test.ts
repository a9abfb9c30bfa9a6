/** The volume as one file: what was synced is hydrated, whatever happened in between. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { SyncFailed } from '../../src/store/volume/volume.ts';
import { accept, contents, exchange, tick } from '../support/store-inputs.ts';
import {
  check,
  copyElsewhere,
  count,
  fingerprint,
  makePlace,
  onVolume,
  type Place,
  start,
} from '../support/volume-place.ts';

describe('an empty volume', () => {
  it('is an empty start, which the first sync writes', async () => {
    const place = makePlace();
    const { volume, hydrated } = await start(place);
    expect(hydrated).toMatchObject({ found: 'none', bytes: 0 });
    expect(existsSync(place.database)).toBe(false);
    await volume.sync();
    expect(check(place.database)).toBe('ok');
    expect(volume.status()).toMatchObject({ durable: true, epoch: 1, fault: null });
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
  });
});

describe('what was synced', () => {
  it('is there on another machine', async () => {
    const place = makePlace();
    const first = await start(place);
    const { conversation } = await exchange(first.store);
    await first.volume.sync();
    await exchange(first.store, { conversationId: conversation.id });

    const second = await start(place, 'machine-2');
    expect(second.hydrated).toMatchObject({ found: 'v2', bytes: statSync(place.database).size });
    expect(await contents(second.store, conversation.id)).toHaveLength(2);
  });

  it('counts, not what lies on local disk: a database, WAL and all, of an earlier life is gone', async () => {
    const place = makePlace();
    const first = await start(place);
    await exchange(first.store);
    await first.volume.sync();
    const unsynced = await exchange(first.store);
    // As a kill leaves it: the file, its WAL and its index, and a hydration that was cut off.
    mkdirSync(join(place.root, 'machine-2'));
    for (const suffix of ['', '-wal', '-shm'])
      copyElsewhere(`${place.local('machine-1')}${suffix}`, `${place.local('machine-2')}${suffix}`);
    writeFileSync(`${place.local('machine-2')}.hydrate-wal`, 'junk');

    const second = await start(place, 'machine-2');
    expect(await second.store.getConversation(unsynced.conversation.id)).toBeNull();
    expect(await second.store.counts()).toMatchObject({ conversations: 1 });
    expect(readdirSync(join(place.root, 'machine-2')).filter((name) => name.includes('hydrate'))).toEqual([]);
  });

  it('is whole after a kill in a sync: what it left under other names is removed', async () => {
    const place = makePlace();
    const first = await start(place);
    await exchange(first.store);
    await first.volume.sync();
    const whole = readFileSync(place.database);
    for (const name of ['messages.db.sync-1', 'messages.db.sync-1-journal'])
      writeFileSync(join(place.storeDir, name), 'half');
    writeFileSync(join(place.storeDir, 'notes.txt'), 'of a person');

    await start(place, 'machine-2');
    expect(readdirSync(place.storeDir).sort()).toEqual(['messages.db', 'notes.txt']);
    expect(readFileSync(place.database)).toEqual(whole);
  });

  it('is all that was committed, and nothing of a transaction that is still open', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    const { conversation } = await exchange(store);
    const writer = new DatabaseSync(place.local('machine-1'));
    writer.exec(`begin; update conversations set session_id = 'not yet'`);
    await volume.sync();
    writer.exec('rollback');
    writer.close();
    expect(onVolume(place, 'select session_id from conversations')).toEqual([
      { session_id: (await store.getConversation(conversation.id))?.sessionId },
    ]);
  });

  it('stays when the store is closed before the last sync', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    const { conversation } = await exchange(store);
    await store.close();
    await volume.sync();
    await volume.stop();
    const second = await start(place, 'machine-2');
    expect(await contents(second.store, conversation.id)).toHaveLength(2);
  });
});

describe('sync', () => {
  it('writes nothing when nothing changed', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    await exchange(store);
    await volume.sync();
    const before = fingerprint(place.database);
    await volume.sync();
    await store.counts();
    await volume.sync();
    expect(fingerprint(place.database)).toEqual(before);
    expect(volume.status()).toMatchObject({ epoch: 1 });
    await exchange(store);
    await volume.sync();
    expect(fingerprint(place.database)).not.toEqual(before);
    expect(volume.status()).toMatchObject({ epoch: 2 });
  });

  it('writes nothing after a start that changed nothing', async () => {
    const place = makePlace();
    const first = await start(place);
    await exchange(first.store);
    await first.volume.sync();
    const before = fingerprint(place.database);

    const second = await start(place, 'machine-2');
    expect(await second.store.recoverRuns({ owner: 'instance-2', at: tick() })).toBe(0);
    await second.volume.sync();
    expect(fingerprint(place.database)).toEqual(before);
    expect(second.volume.status()).toMatchObject({ durable: true, epoch: 0 });
  });

  it('writes what recovery changed after a start', async () => {
    const place = makePlace();
    const first = await start(place);
    const { run } = await accept(first.store);
    await first.volume.sync();

    const second = await start(place, 'machine-2');
    await second.store.recoverRuns({ owner: 'instance-2', at: tick() });
    await second.volume.sync();
    expect(onVolume(place, 'select id, status from runs')).toEqual([{ id: run.id, status: 'interrupted' }]);
  });

  it('resolves when what its caller had committed is on the volume, however many call at once', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    const calls = Array.from({ length: 20 }, async () => {
      const { conversation } = await exchange(store);
      await volume.sync();
      return onVolume(place, `select count(*) as n from messages where conversation_id = '${conversation.id}'`);
    });
    expect(await Promise.all(calls)).toEqual(Array(20).fill([{ n: 2 }]));
  });

  it('joins calls of one moment into a single write, and those that come during it into one more', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    await exchange(store);
    const together = Array.from({ length: 5 }, () => volume.sync());
    await new Promise(setImmediate);
    const writer = new DatabaseSync(place.local('machine-1'));
    writer.exec(`update conversations set session_id = 'late'`);
    writer.close();
    const later = Array.from({ length: 5 }, () => volume.sync());
    await Promise.all([...together, ...later]);
    expect(volume.status().epoch).toBe(2);
    expect(onVolume(place, 'select session_id from conversations')).toEqual([{ session_id: 'late' }]);
  });

  it('leaves a file that plain sqlite3 reads and writes with nothing beside it', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    await exchange(store);
    await volume.sync();
    const db = new DatabaseSync(place.database);
    expect(db.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'delete' });
    expect(db.prepare('select count(*) as n from messages').get()).toEqual({ n: 2 });
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
    db.close();
  });

  it('is never seen half: whoever opens the file while it is written over and over finds it whole', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    const { conversation } = await exchange(store);
    await volume.sync();
    const held = new DatabaseSync(place.database, { readOnly: true });
    const heldCount = count(held);
    for (let i = 0; i < 40; i++) {
      await exchange(store, { conversationId: conversation.id });
      const syncing = volume.sync();
      for (let look = 0; look < 3; look++) {
        expect(check(place.database)).toBe('ok');
        await new Promise(setImmediate);
      }
      await syncing;
      expect(onVolume(place, 'select count(*) as n from messages')).toEqual([{ n: 4 + 2 * i }]);
    }
    expect(count(held)).toBe(heldCount);
    held.close();
  });

  it('is refused after the volume was stopped, which waits for the one under way', async () => {
    const place = makePlace();
    const { volume, store } = await start(place);
    const { conversation } = await exchange(store);
    const syncing = volume.sync();
    await volume.stop();
    expect(onVolume(place, 'select id from conversations')).toEqual([{ id: conversation.id }]);
    await syncing;
    await volume.stop();
    await expect(volume.sync()).rejects.toThrow(SyncFailed);
  });
});

describe('a sync that fails', () => {
  it.each<[string, (place: Place) => () => void]>([
    [
      'when STORE_DIR is gone',
      ({ storeDir }) => {
        renameSync(storeDir, `${storeDir}.away`);
        return () => renameSync(`${storeDir}.away`, storeDir);
      },
    ],
    [
      'when STORE_DIR is a file',
      ({ storeDir }) => {
        renameSync(storeDir, `${storeDir}.away`);
        writeFileSync(storeDir, '');
        return () => {
          rmSync(storeDir);
          renameSync(`${storeDir}.away`, storeDir);
        };
      },
    ],
    [
      'when the file cannot be replaced',
      ({ database }) => {
        renameSync(database, `${database}.away`);
        mkdirSync(join(database, 'in the way'), { recursive: true });
        return () => {
          rmSync(database, { recursive: true });
          renameSync(`${database}.away`, database);
        };
      },
    ],
  ])('%s leaves the last good state, says why, and is made good by the next', async (_when, breakIt) => {
    const place = makePlace();
    const { volume, store } = await start(place);
    await exchange(store);
    await volume.sync();
    const lastGood = readFileSync(place.database);
    const repair = breakIt(place);
    await exchange(store);
    await expect(volume.sync()).rejects.toThrow(SyncFailed);
    await expect(volume.sync()).rejects.toThrow(place.database);
    expect(volume.status()).toMatchObject({ durable: false, epoch: 1, fault: expect.stringContaining(place.database) });
    repair();
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
    expect(readFileSync(place.database)).toEqual(lastGood);

    // Nothing was committed since: the change that failed is what the next sync owes.
    await volume.sync();
    expect(volume.status()).toMatchObject({ durable: true, epoch: 2, fault: null });
    expect(onVolume(place, 'select count(*) as n from conversations')).toEqual([{ n: 2 }]);
  });
});
