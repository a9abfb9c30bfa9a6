/** What a start may find on the volume: a damaged file, one with a journal beside it, one of PicoClaw 1.x. */

import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createCopyVolume } from '../../src/store/volume/copy-volume.ts';
import { SyncFailed } from '../../src/store/volume/volume.ts';
import { contents, exchange, tick } from '../support/store-inputs.ts';
import {
  editAndDie,
  fingerprint,
  makePlace,
  makeVolume,
  onVolume,
  overwrite,
  silent,
  start,
  writeVersion1,
} from '../support/volume-place.ts';

describe('a volume that cannot be used', () => {
  const damage: [string, RegExp, (database: string) => void][] = [
    ['that is empty', /is damaged: it is empty \(0 bytes\)/, (database) => truncateSync(database, 0)],
    ['that was cut off in a page', /is damaged/, (database) => truncateSync(database, statSync(database).size - 1000)],
    ['that was cut off between pages', /is damaged/, (database) => truncateSync(database, 8 * 4096)],
    [
      'that is not a database',
      /is damaged: file is not a database/,
      (database) => writeFileSync(database, 'x'.repeat(9000)),
    ],
    ['with a page overwritten', /is damaged/, (database) => overwrite(database, 4096 * 5, 4096)],
    [
      'of another program',
      /not one that PicoClaw wrote/,
      (database) => {
        rmSync(database);
        const db = new DatabaseSync(database);
        db.exec('create table messages (chat_jid text, content text)');
        db.close();
      },
    ],
    [
      'that is a folder',
      /is not a file/,
      (database) => {
        rmSync(database);
        mkdirSync(database);
      },
    ],
  ];

  it.each(damage)('because of a file %s is refused by name and left as it is', async (_what, fault, harm) => {
    const place = makePlace();
    const first = await start(place);
    const { conversation } = await exchange(first.store);
    for (let i = 0; i < 20; i++) await exchange(first.store, { conversationId: conversation.id });
    await first.volume.sync();
    harm(place.database);
    const before = fingerprint(place.database);
    const volume = makeVolume(place, 'machine-2');
    await expect(volume.hydrate()).rejects.toThrow(fault);
    await expect(volume.hydrate()).rejects.toThrow(place.database);
    await expect(volume.hydrate()).rejects.toThrow(/\.recover.*or move it away/);
    expect(fingerprint(place.database)).toEqual(before);
    expect(readdirSync(join(place.root, 'machine-2'))).toEqual([]);
  });

  it('because there is none is refused', async () => {
    const place = makePlace();
    rmSync(place.storeDir, { recursive: true });
    await expect(makeVolume(place, 'machine-1').hydrate()).rejects.toThrow(
      /STORE_DIR .* cannot be read .*mount the volume/,
    );
  });

  it('because it is the local path is refused', async () => {
    const { storeDir, database } = makePlace();
    const volume = createCopyVolume({ storeDir, localDbPath: database, clock: { now: tick }, log: silent });
    await expect(volume.hydrate()).rejects.toThrow(/LOCAL_DB_PATH/);
  });
});

describe('a journal beside the file', () => {
  it('that a killed sqlite3 left is part of what is hydrated, and is folded in', async () => {
    const place = makePlace();
    const first = await start(place);
    const { conversation } = await exchange(first.store);
    await first.volume.sync();
    editAndDie(place.database, `PRAGMA journal_mode = WAL; update conversations set session_id = 'edited'`);
    expect(readdirSync(place.storeDir)).toContain('messages.db-wal');

    const second = await start(place, 'machine-2');
    expect(await second.store.getConversation(conversation.id)).toMatchObject({ sessionId: 'edited' });
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
  });

  it('of a transaction that a killed sqlite3 had not committed is undone', async () => {
    const place = makePlace();
    const first = await start(place);
    const { conversation } = await exchange(first.store);
    await first.volume.sync();
    const before = await first.store.getConversation(conversation.id);
    // A cache of one page makes SQLite write the transaction to the file before it is committed.
    editAndDie(
      place.database,
      `PRAGMA cache_size = 1; begin; update conversations set session_id = 'half'; update messages set content = hex(randomblob(9000))`,
    );
    expect(readdirSync(place.storeDir)).toContain('messages.db-journal');

    const second = await start(place, 'machine-2');
    expect(await second.store.getConversation(conversation.id)).toEqual(before);
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
  });

  it('of a program that has it open is refused by name', async () => {
    const place = makePlace();
    const first = await start(place);
    await exchange(first.store);
    await first.volume.sync();
    const other = new DatabaseSync(place.database);
    onTestFinished(() => other.close());
    other.exec(`PRAGMA journal_mode = WAL; update conversations set session_id = 'open'; begin; select * from runs`);
    await expect(makeVolume(place, 'machine-2').hydrate()).rejects.toThrow(
      /messages\.db .*(locked|open in another program)/,
    );
  });
});

describe('a volume of PicoClaw 1.x', () => {
  it('is taken over, and its file is kept as it was before the first sync replaces it', async () => {
    const place = makePlace();
    const original = writeVersion1(place);
    const { volume, store, hydrated } = await start(place);
    expect(hydrated).toMatchObject({ found: 'v1', bytes: original.length });
    expect(await contents(store, 'c-1')).toEqual(['hello']);
    expect(readdirSync(place.storeDir)).toEqual(['messages.db']);
    await volume.sync();
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'))).toEqual(original);
    expect(onVolume(place, 'select id from conversations')).toEqual([{ id: 'c-1' }]);
    expect(readdirSync(place.storeDir).sort()).toEqual(['messages.db', 'messages.v1.db']);

    const second = await start(place, 'machine-2');
    expect(second.hydrated.found).toBe('v2');
    await exchange(second.store);
    await second.volume.sync();
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'))).toEqual(original);
  });

  it('is taken over again after a kill before the first sync was done', async () => {
    const place = makePlace();
    const original = writeVersion1(place);
    await start(place);
    linkSync(place.database, join(place.storeDir, 'messages.v1.db'));

    const second = await start(place, 'machine-2');
    expect(second.hydrated.found).toBe('v1');
    await second.volume.sync();
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'))).toEqual(original);
    expect(onVolume(place, 'select id from conversations')).toEqual([{ id: 'c-1' }]);
  });

  it('never overwrites a file that was kept before', async () => {
    const place = makePlace();
    writeVersion1(place);
    writeFileSync(join(place.storeDir, 'messages.v1.db'), 'kept long ago');
    const { volume } = await start(place);
    await volume.sync();
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'), 'utf8')).toBe('kept long ago');
    expect(onVolume(place, 'select id from conversations')).toEqual([{ id: 'c-1' }]);
  });

  it('is not replaced when it cannot be kept', async () => {
    const place = makePlace();
    const original = writeVersion1(place);
    const { volume } = await start(place);
    rmSync(place.storeDir, { recursive: true });
    await expect(volume.sync()).rejects.toThrow(SyncFailed);
    mkdirSync(place.storeDir);
    writeFileSync(place.database, original);
    await volume.sync();
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'))).toEqual(original);
  });
});
