/** What is appended to a log on the volume is what SQLite finds there, and what was flushed stays whatever fails later. */

import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Feed } from '../../src/store/volume/feed.ts';
import { makeWalHeader } from '../../src/store/volume/wal-format.ts';
import { WalReader } from '../../src/store/volume/wal-reader.ts';
import { LogRemoved, WalWriter } from '../../src/store/volume/wal-writer.ts';
import { type Matcher, watchFs } from '../support/fs-faults.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** A runtime database that has just been copied to the volume, and the log there that goes on from it. */
async function begin({ pageBytes = 512 } = {}) {
  const folder = temporaryFolder();
  const [path, base] = [join(folder, 'local.db'), join(folder, 'volume', 'messages.db')];
  const faults = watchFs(join(folder, 'volume'));
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA synchronous = OFF; create table t (n integer, content blob); PRAGMA wal_checkpoint(TRUNCATE)`);
  mkdirSync(join(folder, 'volume'));
  copyFileSync(path, base);
  writeFileSync(`${base}-wal`, '');
  const source = await open(`${path}-wal`, 'r');
  const writer = new WalWriter(`${base}-wal`, null);
  onTestFinished(async () => {
    await writer.close();
    await source.close();
    db.close();
  });
  const reader = new WalReader(source);
  const feed = new Feed(reader, writer);
  let n = 0;
  return {
    db,
    base,
    wal: `${base}-wal`,
    reader,
    writer,
    faults,
    insert: (bytes: number) => {
      n += 1;
      db.prepare('insert into t values (?, randomblob(?))').run(n, bytes);
    },
    append: () => feed.append(),
  };
}

function rows(db: DatabaseSync): unknown[] {
  return db.prepare('select n, hex(content) as content from t order by n').all();
}

/** As a person's sqlite3 sees it, on a copy: closing it folds the log in. */
function seen(base: string): unknown[] {
  const copy = `${base}.copy`;
  writeFileSync(copy, readFileSync(base));
  writeFileSync(`${copy}-wal`, readFileSync(`${base}-wal`));
  const db = new DatabaseSync(copy);
  try {
    expect(db.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' });
    return rows(db);
  } finally {
    db.close();
  }
}

const isOf =
  (name: string): Matcher =>
  (operation) =>
    operation.name === `handle.${name}`;

describe('what was appended', () => {
  it('is what plain sqlite3 finds behind the base, through any checkpoints of the database it comes from', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ act: fc.constant('insert' as const), bytes: fc.nat(5000) }) },
      { weight: 2, arbitrary: fc.constant({ act: 'append' as const }) },
      { weight: 1, arbitrary: fc.constant({ act: 'checkpoint' as const }) },
      { weight: 1, arbitrary: fc.constant({ act: 'delete' as const }) },
    );
    const scenario = fc.tuple(
      fc.constantFrom(512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536),
      fc.array(step, { maxLength: 14 }),
    );
    const property = fc.asyncProperty(scenario, async ([pageBytes, steps]) => {
      const { db, base, reader, insert, append } = await begin({ pageBytes });
      for (const next of steps) {
        if (next.act === 'insert') insert(next.bytes);
        if (next.act === 'delete') db.exec('delete from t where n % 2 = 0');
        if (next.act === 'append') {
          await append();
          expect(seen(base)).toEqual(rows(db));
        }
        if (next.act === 'checkpoint') {
          await append();
          db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
          reader.expectRestart();
        }
      }
      await append();
      expect(seen(base)).toEqual(rows(db));
    });
    await fc.assert(property, { numRuns: 25 });
  });

  it('is one log, which a writer that comes later goes on with', async () => {
    const { db, base, wal, reader, insert, append } = await begin();
    insert(3000);
    await append();
    const before = readFileSync(wal);
    // A tail that was not flushed lies behind it.
    writeFileSync(wal, Buffer.concat([before, Buffer.alloc(700, 1)]));
    const file = await open(wal, 'r');
    const end = await new WalReader(file).look();
    await file.close();
    if (end === null) throw new Error('the log is empty');
    const later = new WalWriter(wal, { header: end.header, offset: end.to, checksum: end.checksum });
    onTestFinished(() => later.close());
    expect(later.bytesFlushed).toBe(before.length);
    insert(10);
    await new Feed(reader, later).append();
    expect(readFileSync(wal).subarray(0, before.length)).toEqual(before);
    expect(later.bytesFlushed).toBe(statSync(wal).size);
    expect(seen(base)).toEqual(rows(db));
  });

  it('is nothing, and no file operation on the volume, when nothing was committed', async () => {
    const { insert, append, faults } = await begin();
    insert(10);
    expect(await append()).toBeGreaterThan(0);
    faults.take();
    expect(await append()).toBe(0);
    expect(faults.take()).toEqual([]);
  });
});

describe('after an operation that failed', () => {
  it.each<[string, Matcher, 'before' | 'after']>([
    ['a write', isOf('write'), 'before'],
    ['a write that was done', isOf('write'), 'after'],
    ['a flush', isOf('datasync'), 'before'],
    ['a flush that was done', isOf('datasync'), 'after'],
    ['the look at the file', isOf('stat'), 'before'],
  ])('(%s) the next goes on behind what was flushed, through a new handle', async (_what, matches, when) => {
    const { db, base, wal, writer, insert, append, faults } = await begin();
    insert(100);
    await append();
    const flushed = readFileSync(wal);
    insert(5000);
    const heal = faults.fail('EIO', matches, when);
    await expect(append()).rejects.toMatchObject({ code: 'EIO' });
    await expect(append()).rejects.toMatchObject({ code: 'EIO' });
    expect(writer.bytesFlushed).toBe(flushed.length);
    expect(readFileSync(wal).subarray(0, flushed.length)).toEqual(flushed);
    heal();
    faults.take();
    await append();
    expect(faults.take().map(({ name }) => name)).toEqual([
      'open',
      'handle.truncate',
      'handle.write',
      'handle.datasync',
      'handle.stat',
      'handle.read',
    ]);
    expect(readFileSync(wal).subarray(0, flushed.length)).toEqual(flushed);
    expect(statSync(wal).size).toBe(writer.bytesFlushed);
    expect(seen(base)).toEqual(rows(db));
  });

  it('the file is byte for byte as if nothing had failed', async () => {
    const { wal, insert, append, faults, reader } = await begin();
    insert(100);
    await append();
    const flushed = readFileSync(wal);
    const end = await endOf(wal);
    insert(5000);
    const stretch = await reader.look();
    if (stretch === null) throw new Error('nothing was committed');

    // The same frames by a writer that nothing happens to, beside it.
    const twin = `${wal}.twin`;
    writeFileSync(twin, flushed);
    const steady = new WalWriter(twin, end);
    for await (const frames of reader.read(stretch)) await steady.append(frames, stretch.header.pageBytes);
    await steady.flush();
    await steady.close();

    for (const name of ['write', 'datasync', 'truncate']) {
      const heal = faults.fail('ENOSPC', (operation) => isOf(name)(operation) && operation.path === wal);
      await expect(append()).rejects.toMatchObject({ code: 'ENOSPC' });
      heal();
    }
    await append();
    expect(readFileSync(wal)).toEqual(readFileSync(twin));
  });

  it('in the very first append, the log begins anew', async () => {
    const { db, base, writer, insert, append, faults } = await begin();
    insert(2000);
    const heal = faults.fail('ENOSPC', isOf('datasync'));
    await expect(append()).rejects.toMatchObject({ code: 'ENOSPC' });
    expect(writer.bytesFlushed).toBe(0);
    heal();
    await append();
    expect(seen(base)).toEqual(rows(db));
  });
});

describe('a log that was removed behind the writer', () => {
  it('is told after the flush, which went to a file without a name', async () => {
    const { wal, writer, insert, append } = await begin();
    insert(100);
    await append();
    const { bytesFlushed } = writer;
    rmSync(wal);
    insert(100);
    await expect(append()).rejects.toThrow(LogRemoved);
    expect(writer.bytesFlushed).toBe(bytesFlushed);
    // And is not made anew, which would hide it.
    await expect(append()).rejects.toThrow(LogRemoved);
  });

  it('or replaced by another is no log to go on with', async () => {
    const { wal, insert, append } = await begin();
    insert(100);
    await append();
    rmSync(wal);
    writeFileSync(wal, '');
    insert(100);
    await expect(append()).rejects.toThrow(LogRemoved);
  });

  it('or begun anew under the same name, by the checkpoint of a person who has it open, is no log to go on with', async () => {
    const { wal, insert, append } = await begin();
    insert(100);
    await append();
    for (const content of [Buffer.alloc(0), makeWalHeader({ pageBytes: 512, salts: 7n }).bytes]) {
      truncateSync(wal, 0);
      writeFileSync(wal, content);
      insert(100);
      await expect(append()).rejects.toThrow(LogRemoved);
    }
  });
});

it('pages of another size are refused: they would not be of this database', async () => {
  const { insert, append, writer } = await begin();
  insert(10);
  await append();
  await expect(writer.append(Buffer.alloc(24 + 1024), 1024)).rejects.toThrow('1024 bytes now, and had 512');
});

async function endOf(path: string) {
  await using file = await open(path, 'r');
  const stretch = await new WalReader(file).look();
  return stretch === null ? null : { header: stretch.header, offset: stretch.to, checksum: stretch.checksum };
}
