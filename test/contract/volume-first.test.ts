/** A volume of an earlier version, or with something else in its place: taken over whole, or refused and left alone. */

import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { contents, exchange } from '../support/store-inputs.ts';
import {
  ask,
  batonOf,
  contentOf,
  conversationsOn,
  editAndDie,
  folderOf,
  foldersOf,
  forceSnapshot,
  generationOf,
  makeMachine,
  makePlace,
  onVolume,
  type Place,
  startMachine,
  writeVersion1,
} from '../support/volume-place.ts';

/** The single file that the whole-copy volume kept. */
async function writeFlat(place: Place): Promise<string> {
  const store = await createSqliteStore({ path: place.database });
  const { conversation } = await exchange(store);
  await store.close();
  ask(place.database, 'PRAGMA journal_mode = DELETE');
  return conversation.id;
}

describe('a volume of PicoClaw 1.x', () => {
  it('is taken over, and its file is kept byte for byte', async () => {
    const place = makePlace();
    const original = writeVersion1(place);
    const kept = join(place.storeDir, 'messages.v1.db');
    const a = await startMachine(place, 'a');
    expect(a.lines.find(({ msg }) => msg === 'hydrated from the volume')).toMatchObject({ found: 'v1' });
    expect(await a.read()).toEqual(['c-1']);
    expect(await contents(a.store, 'c-1')).toEqual(['hello']);
    expect(readFileSync(kept)).toEqual(original);
    expect(lstatSync(place.database).isSymbolicLink()).toBe(true);
    const id = await a.write();
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(['c-1', id].sort());
    expect(readFileSync(kept)).toEqual(original);
  });

  it('never overwrites a file that was kept before', async () => {
    const place = makePlace();
    writeVersion1(place);
    writeFileSync(join(place.storeDir, 'messages.v1.db'), 'kept long ago');
    const a = await startMachine(place, 'a');
    expect(await a.read()).toEqual(['c-1']);
    expect(readFileSync(join(place.storeDir, 'messages.v1.db'), 'utf8')).toBe('kept long ago');
  });

  it('is taken over, and kept, with the journal that a kill left beside it', async () => {
    const place = makePlace();
    writeVersion1(place);
    editAndDie(place.database, `update messages set content = 'edited'`);
    expect(existsSync(`${place.database}-wal`)).toBe(true);
    const a = await startMachine(place, 'a');
    expect(await contents(a.store, 'c-1')).toEqual(['edited']);
    expect(ask(join(place.storeDir, 'messages.v1.db'), 'select content from messages')).toEqual([
      { content: 'edited' },
    ]);
  });
});

describe('a volume with the single file of the version before', () => {
  it('is taken over, and the link takes the place of the file', async () => {
    const place = makePlace();
    const id = await writeFlat(place);
    const a = await startMachine(place, 'a');
    expect(a.lines.find(({ msg }) => msg === 'hydrated from the volume')).toMatchObject({ found: 'v2' });
    expect(await a.read()).toEqual([id]);
    expect(lstatSync(place.database).isSymbolicLink()).toBe(true);
    expect(ask(place.database, 'select id from conversations')).toEqual([{ id }]);
    expect(readdirSync(place.storeDir)).not.toContain('messages.v1.db');
    expect(await (await startMachine(place, 'b')).read()).toEqual([id]);
  });

  it('without what a person had not committed', async () => {
    const place = makePlace();
    const id = await writeFlat(place);
    editAndDie(
      place.database,
      `PRAGMA cache_size = 1; begin; update conversations set session_id = 'half'; update messages set content = hex(randomblob(9000))`,
    );
    expect(existsSync(`${place.database}-journal`)).toBe(true);
    const a = await startMachine(place, 'a');
    expect((await a.store.getConversation(id))?.sessionId).not.toBe('half');
    expect((await contents(a.store, id)).join()).toMatch(/^question \d+,answer \d+$/);
  });
});

describe('a file that is no database of ours', () => {
  const foreign: [string, RegExp, (path: string) => Promise<void> | void][] = [
    ['an empty file', /is damaged: it is empty/, (path) => writeFileSync(path, '')],
    ['a text', /is damaged: file is not a database/, (path) => writeFileSync(path, 'x'.repeat(9000))],
    [
      'a database of another program',
      /not one that PicoClaw wrote/,
      (path) => void ask(path, 'create table messages (chat_jid text)'),
    ],
    ['a folder', /EISDIR/, (path) => void mkdirSync(path)],
    [
      'half a database of ours',
      /is damaged/,
      async (path) => {
        await (await createSqliteStore({ path })).close();
        const bytes = readFileSync(path);
        writeFileSync(path, bytes.subarray(0, bytes.length / 2));
      },
    ],
  ];

  it.each(foreign)('(%s) is refused by name and left as it is', async (_what, fault, write) => {
    const place = makePlace();
    await write(place.database);
    const before = contentOf(place.storeDir);
    const a = makeMachine(place, 'a');
    for (let attempt = 0; attempt < 2; attempt += 1) await expect(a.access.start()).rejects.toThrow(fault);
    await a.access.stop();
    expect(contentOf(place.storeDir)).toMatchObject(before);
    expect(foldersOf(place)).toEqual([]);
    // Moved away, the volume starts empty.
    rmSync(place.database, { recursive: true });
    expect(await (await startMachine(place, 'b')).read()).toEqual([]);
  });

  it('that somebody put at messages.db of a volume in use is told of, and left alone', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const id = await a.write();
    rmSync(place.database);
    writeFileSync(place.database, 'of a person');
    forceSnapshot(place);
    await a.write();
    await expect.poll(() => generationOf(place).number).toBe(2);
    const b = await startMachine(place, 'b');
    expect(await b.read()).toContain(id);
    for (const { lines } of [a, b])
      await expect
        .poll(() =>
          lines
            .filter(({ level }) => level === 40)
            .map(({ msg }) => msg)
            .join(),
        )
        .toContain('is not the database in use');
    expect(readFileSync(place.database, 'utf8')).toBe('of a person');
  });
});

describe('LOCAL_DB_PATH', () => {
  it('inside the volume is refused, before anything is removed', async () => {
    const place = makePlace();
    writeVersion1(place);
    const before = contentOf(place.storeDir);
    const a = makeMachine(place, 'a', { localDbPath: place.database });
    await expect(a.access.start()).rejects.toThrow(/LOCAL_DB_PATH is .*, inside STORE_DIR/);
    await a.access.stop();
    expect(contentOf(place.storeDir)).toMatchObject(before);

    const b = await startMachine(place, 'b');
    await b.access.stop();
    const after = contentOf(place.storeDir);
    for (const localDbPath of [join(folderOf(place), 'messages.db'), join(place.storeDir, 'local', 'messages.db')]) {
      const c = makeMachine(place, 'c', { localDbPath });
      await expect(c.access.start()).rejects.toThrow(/LOCAL_DB_PATH is .*, inside STORE_DIR/);
      await c.access.stop();
      expect(contentOf(place.storeDir)).toEqual(after);
    }
    expect(await (await startMachine(place, 'd')).read()).toEqual(['c-1']);
  });

  it('that leads into the volume over a link is refused, too', async () => {
    const place = makePlace();
    writeVersion1(place);
    const before = contentOf(place.storeDir);
    const link = join(place.root, 'link');
    symlinkSync(place.storeDir, link);
    for (const name of ['messages.db', 'local/messages.db']) {
      const a = makeMachine(place, 'a', { localDbPath: join(link, name) });
      await expect(a.access.start()).rejects.toThrow(/LOCAL_DB_PATH is .*, inside STORE_DIR/);
      await a.access.stop();
      expect(contentOf(place.storeDir)).toEqual(before);
    }
  });

  it('shared by two servers with volumes of their own disturbs neither', async () => {
    const [one, other] = [makePlace(), makePlace()];
    const localDbPath = one.local('shared');
    const a = await startMachine(one, 'a', { localDbPath });
    const ofA = [await a.write()];
    const b = await startMachine(other, 'b', { localDbPath });
    const ofB = [await b.write()];
    for (let i = 0; i < 3; i += 1) {
      ofA.push(await a.write());
      ofB.push(await b.write());
    }
    expect(await a.read()).toEqual(ofA.sort());
    expect(await b.read()).toEqual(ofB.sort());
    expect(conversationsOn(one)).toEqual(ofA);
    expect(conversationsOn(other)).toEqual(ofB);
  });
});

describe('a database of a newer version', () => {
  const migrate = `insert into kysely_migration (name, timestamp) values ('9999-of-the-future', '2040-01-01')`;

  it('as a single file is refused, and left as it is', async () => {
    const place = makePlace();
    const id = await writeFlat(place);
    ask(place.database, migrate);
    const flat = readFileSync(place.database);
    const a = makeMachine(place, 'a');
    await expect(a.access.start()).rejects.toThrow(/newer/);
    await a.access.stop();
    expect(readFileSync(place.database)).toEqual(flat);
    expect(ask(place.database, 'select id from conversations')).toEqual([{ id }]);
    expect(foldersOf(place)).toEqual([]);
  });

  it('in a generation is refused, and the volume holds the same for the newer one', async () => {
    const place = makePlace();
    await writeFlat(place);
    const a = await startMachine(place, 'a');
    await a.access.stop();
    const base = join(folderOf(place), 'messages.db');
    chmodSync(base, 0o644);
    ask(base, migrate);
    const content = readFileSync(base);
    writeFileSync(`${base}.sha256`, `${createHash('sha256').update(content).digest('hex')}  messages.db\n`);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const b = makeMachine(place, 'b');
      await expect(b.access.start()).rejects.toThrow(/newer/);
      await expect(b.read()).rejects.toMatchObject({ code: 'store_unavailable' });
      await b.access.stop();
      expect(readFileSync(join(folderOf(place), 'messages.db'))).toEqual(content);
      expect(onVolume(place, 'select name from kysely_migration order by name desc limit 1')).toEqual([
        { name: '9999-of-the-future' },
      ]);
    }
  });
});

describe('leftovers', () => {
  it('of attempts that died do no harm, and go away in time', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    await a.access.stop();
    const nonce = '0'.repeat(16);
    for (const number of [1, 2, 3, 5]) mkdirSync(join(place.storeDir, `${number}-${nonce}`));
    for (const number of [2, 5]) writeFileSync(join(place.storeDir, `${number}-${nonce}`, 'messages.db'), 'half');
    for (const name of ['messages.db.sync-1', 'messages.db.sync-1-journal'])
      writeFileSync(join(place.storeDir, name), 'half');
    symlinkSync('nowhere', join(place.storeDir, `messages.db.sync-${nonce}`));
    for (const name of ['b', 'c', 'd', 'e', 'f']) {
      const machine = await startMachine(place, name);
      ids.push(await machine.write());
      expect(await machine.read()).toEqual([...ids].sort());
    }
    expect(readdirSync(place.storeDir).sort()).toEqual([batonOf(place), 'baton', 'messages.db'].sort());
    expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });
});
