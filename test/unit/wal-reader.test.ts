/** A write-ahead log is read as SQLite itself reads it: every committed transaction, and nothing else. */

import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { frameBytesOf, makeWalHeader, parseWalHeader, walHeaderBytes } from '../../src/store/volume/wal-format.ts';
import { RestartedElsewhere, WalReader } from '../../src/store/volume/wal-reader.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { toBigEndian } from '../support/wal.ts';

const pageSizes = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

function openDatabase(path: string, { pageBytes = 512, cachePages = 1000 } = {}): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA page_size = ${pageBytes}; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA synchronous = OFF; PRAGMA cache_size = ${cachePages}; create table t (n integer, content blob)`);
  onTestFinished(() => db.close());
  return db;
}

function insert(db: DatabaseSync, n: number, bytes: number): void {
  db.prepare('insert into t values (?, randomblob(?))').run(n, bytes);
}

/** How far the log is valid, in bytes from its beginning. */
async function endOf(path: string): Promise<number> {
  await using file = await open(path, 'r');
  return (await new WalReader(file).look())?.to ?? 0;
}

/** What SQLite makes of a base and a log; null where it sees not even the table. */
function rowsOf(base: Buffer, wal: Buffer, copy: string): number[] | null {
  writeFileSync(copy, base);
  writeFileSync(`${copy}-wal`, wal);
  const db = new DatabaseSync(copy);
  try {
    return db
      .prepare('select n from t')
      .all()
      .map(({ n }) => Number(n));
  } catch {
    return null;
  } finally {
    db.close();
  }
}

type Step = { act: 'commit' | 'rollback'; rows: number; bytes: number };

const step: fc.Arbitrary<Step> = fc.record({
  act: fc.constantFrom('commit', 'commit', 'rollback'),
  rows: fc.integer({ min: 1, max: 12 }),
  bytes: fc.integer({ min: 0, max: 3000 }),
});

/** Returns where the log ended after each commit. */
async function play(db: DatabaseSync, path: string, steps: Step[]): Promise<number[]> {
  const ends = [await endOf(`${path}-wal`)];
  let n = 1;
  for (const { act, rows, bytes } of steps) {
    db.exec('begin');
    for (let row = 0; row < rows; row += 1, n += 1) insert(db, n, bytes);
    db.exec(act);
    if (act === 'commit') ends.push(await endOf(`${path}-wal`));
  }
  return ends;
}

describe('a log that SQLite wrote', () => {
  it('is read to the end of its last commit, whatever the page size, what was rolled back or spilled before its time', async () => {
    const scenario = fc.record({
      pageBytes: fc.constantFrom(...pageSizes),
      // A cache of one page spills a transaction into the log before it is committed.
      cachePages: fc.constantFrom(1, 1000),
      steps: fc.array(step, { minLength: 1, maxLength: 6 }),
    });
    const folder = temporaryFolder();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(scenario, async ({ steps, ...options }) => {
        runs += 1;
        const path = join(folder, `${runs}.db`);
        const db = openDatabase(path, options);
        const ends = await play(db, path, steps);
        expect(new Set(ends).size).toBe(ends.length);
        const end = ends.at(-1) ?? 0;

        // Cut there, SQLite sees as much as before; cut a byte earlier, it does not see the last transaction.
        const [base, wal] = [readFileSync(path), readFileSync(`${path}-wal`)];
        const all = rowsOf(base, wal, `${path}.copy`);
        expect(rowsOf(base, wal.subarray(0, end), `${path}.copy`)).toEqual(all);
        expect(rowsOf(base, wal.subarray(0, end - 1), `${path}.copy`)).not.toEqual(all);
      }),
      { numRuns: 40 },
    );
  });

  it('counts up to the last whole commit wherever it is cut off', async () => {
    const path = join(temporaryFolder(), 'a.db');
    const db = openDatabase(path);
    const ends = await play(db, path, [
      { act: 'commit', rows: 2, bytes: 300 },
      { act: 'rollback', rows: 2, bytes: 300 },
      { act: 'commit', rows: 1, bytes: 1 },
    ]);
    const wal = readFileSync(`${path}-wal`);
    const cut = `${path}.cut`;
    const everyFew = Array.from({ length: Math.ceil(wal.length / 7) }, (_, i) => i * 7);
    for (const length of [...everyFew, ...ends.flatMap((end) => [end - 1, end, end + 1]), wal.length]) {
      writeFileSync(cut, wal.subarray(0, length));
      expect([length, await endOf(cut)]).toEqual([length, ends.findLast((end) => end <= length) ?? 0]);
    }
  });

  it('counts up to the commit before a byte that is not as it was written', async () => {
    const path = join(temporaryFolder(), 'a.db');
    const db = openDatabase(path);
    const ends = await play(db, path, Array(5).fill({ act: 'commit', rows: 1, bytes: 400 }));
    const wal = readFileSync(`${path}-wal`);
    const garbled = `${path}.garbled`;
    const property = fc.asyncProperty(fc.nat(wal.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const bytes = Buffer.from(wal);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      writeFileSync(garbled, bytes);
      expect(await endOf(garbled)).toBe(ends.findLast((end) => end <= at) ?? 0);
    });
    await fc.assert(property, { numRuns: 300 });
  });

  it('may have its checksums in big-endian words, as a machine of that order writes them', async () => {
    const path = join(temporaryFolder(), 'a.db');
    const db = openDatabase(path);
    const ends = await play(db, path, Array(3).fill({ act: 'commit', rows: 2, bytes: 200 }));
    const wal = toBigEndian(readFileSync(`${path}-wal`));
    writeFileSync(`${path}.big`, wal);
    expect(wal.readUInt32BE(0)).toBe(0x377f0683);
    expect(await endOf(`${path}.big`)).toBe(ends.at(-1));
    // SQLite agrees that this is such a log.
    expect(rowsOf(readFileSync(path), wal, `${path}.copy`)).toEqual([1, 2, 3, 4, 5, 6]);
    writeFileSync(`${path}.big`, wal.fill(1, wal.length - 1));
    expect(await endOf(`${path}.big`)).toBe(ends.at(-2));
  });
});

describe('a reader that goes on', () => {
  async function begin() {
    const path = join(temporaryFolder(), 'a.db');
    const db = openDatabase(path);
    const file = await open(`${path}-wal`, 'r');
    onTestFinished(() => file.close());
    return { path, db, reader: new WalReader(file) };
  }

  async function takeAll(reader: WalReader): Promise<number> {
    const stretch = await reader.look();
    if (stretch === null) return 0;
    let bytes = 0;
    for await (const chunk of reader.read(stretch)) bytes += chunk.length;
    expect(bytes).toBe(stretch.to - stretch.from);
    reader.take(stretch);
    return bytes / frameBytesOf(stretch.header);
  }

  it('sees each transaction once, and the same again until it is taken', async () => {
    const { db, reader } = await begin();
    expect(await takeAll(reader)).toBeGreaterThan(0);
    expect(await reader.look()).toBeNull();
    insert(db, 1, 10);
    const seen = await reader.look();
    insert(db, 2, 10);
    const more = await reader.look();
    expect(more?.from).toBe(seen?.from);
    expect(more?.to).toBeGreaterThan(seen?.to ?? 0);
    await takeAll(reader);
    expect(reader.bytesTaken).toBe(more?.to);
    expect(await reader.look()).toBeNull();
  });

  it('reads a stretch of many megabytes in pieces of whole frames', async () => {
    const { db, reader } = await begin();
    for (let n = 0; n < 5; n += 1) insert(db, n, 700_000);
    expect(await takeAll(reader)).toBeGreaterThan(6000);
    expect(await reader.look()).toBeNull();
  });

  it('does not see a transaction that is open, even where it is spilled', async () => {
    const { db, path, reader } = await begin();
    await takeAll(reader);
    db.exec('PRAGMA cache_size = 1; begin');
    const before = readFileSync(`${path}-wal`).length;
    for (let n = 0; n < 50; n += 1) insert(db, n, 2000);
    expect(readFileSync(`${path}-wal`).length).toBeGreaterThan(before);
    expect(await reader.look()).toBeNull();
    db.exec('commit');
    expect(await takeAll(reader)).toBeGreaterThan(0);
  });

  it('begins again with a log that its owner said would begin anew', async () => {
    const { db, reader } = await begin();
    insert(db, 1, 3000);
    await takeAll(reader);
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    reader.expectRestart();
    expect(await reader.look()).toBeNull();
    insert(db, 2, 10);
    expect(await takeAll(reader)).toBeGreaterThan(0);
    expect(await reader.look()).toBeNull();
  });

  it.each(['TRUNCATE', 'RESTART'])('refuses a log that another program has begun anew (%s)', async (mode) => {
    const { path, db, reader } = await begin();
    insert(db, 1, 3000);
    await takeAll(reader);
    const other = new DatabaseSync(path);
    other.exec(`PRAGMA wal_checkpoint(${mode}); insert into t values (2, null)`);
    other.close();
    await expect(reader.look()).rejects.toThrow(RestartedElsewhere);
  });
});

describe('the header', () => {
  it('says again what it was made of', () => {
    const property = fc.property(
      fc.constantFrom(...pageSizes),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      (pageBytes, salts) => {
        const { bytes, header } = makeWalHeader({ pageBytes, salts });
        expect(bytes.length).toBe(walHeaderBytes);
        expect(parseWalHeader(bytes)).toEqual(header);
        expect(header).toMatchObject({ pageBytes, salts });
      },
    );
    fc.assert(property);
  });

  it('that is cut off, of another format or page size is none', () => {
    const { bytes } = makeWalHeader({ pageBytes: 4096, salts: 7n });
    for (let length = 0; length < walHeaderBytes; length += 1)
      expect(parseWalHeader(bytes.subarray(0, length))).toBeNull();
    for (const pageBytes of [0, 256, 1000, 131_072])
      expect(parseWalHeader(makeWalHeader({ pageBytes, salts: 7n }).bytes)).toBeNull();
    expect(parseWalHeader(Buffer.alloc(walHeaderBytes))).toBeNull();
  });

  it('is the one that SQLite writes', () => {
    const path = join(temporaryFolder(), 'a.db');
    openDatabase(path, { pageBytes: 1024 });
    copyFileSync(`${path}-wal`, `${path}.copy`);
    expect(parseWalHeader(readFileSync(`${path}.copy`))).toMatchObject({ pageBytes: 1024, isLittleEndian: true });
  });
});
