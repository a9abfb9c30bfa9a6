/** What a start may find on the volume: nothing that is damaged is started over, and what can be read whole is used, loudly. */

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  batonOf,
  changeByte,
  contentOf,
  conversationsOn,
  editAndClose,
  editAndDie,
  folderOf,
  foldersOf,
  generationOf,
  type Machine,
  makeMachine,
  makePlace,
  onVolume,
  type Place,
  startMachine,
} from '../support/volume-place.ts';

/** A generation with some exchanges in its base and some in its log, whose owner has stopped. */
async function makeVolume(): Promise<{ place: Place; ids: string[] }> {
  const place = makePlace();
  const a = await startMachine(place, 'a');
  const ids = [await a.write(), await a.write()];
  const epoch = a.access.status().epoch;
  rmSync(join(folderOf(place), 'messages.db-wal'));
  ids.push(await a.write());
  await expect.poll(() => a.access.status().epoch).toBe(epoch + 1);
  ids.push(await a.write());
  await a.access.stop();
  expect(conversationsOn(place)).toEqual([...ids].sort());
  return { place, ids: ids.sort() };
}

const base = (place: Place) => join(folderOf(place), 'messages.db');
const log = (place: Place) => join(folderOf(place), 'wal');

/** Seals and leases apart, which a takeover that is refused may leave. */
function withoutSeal(storeDir: string): Record<string, string> {
  const entries = Object.entries(contentOf(storeDir)).filter(([name]) => !name.startsWith('baton/'));
  return Object.fromEntries(entries);
}

const damage: [string, RegExp, (place: Place) => void][] = [
  ['a base that was cut off', /is damaged/, (place) => truncateSync(base(place), statSync(base(place)).size - 5000)],
  ['an empty base', /is damaged|not one that PicoClaw wrote/, (place) => truncateSync(base(place), 0)],
  ['a base with its first page overwritten', /is damaged/, (place) => garble(base(place), 0, 4096)],
  ['a base that is missing', /is not there/, (place) => rmSync(base(place))],
  ['a log that is missing', /is not there/, (place) => rmSync(log(place))],
];

function garble(path: string, from: number, to: number): void {
  const content = readFileSync(path);
  chmodSync(path, 0o644);
  writeFileSync(path, content.fill(0xa5, from, to));
}

function errorsOf({ lines }: Machine): string[] {
  return lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);
}

describe('a generation that is damaged, with none before it', () => {
  it.each(damage)('(%s) is refused by name and left as it is, until it is restored', async (_what, fault, harm) => {
    const { place, ids } = await makeVolume();
    const folder = folderOf(place);
    const backup = join(place.root, 'backup');
    cpSync(folder, backup, { recursive: true });
    harm(place);
    const before = withoutSeal(place.storeDir);
    const b = makeMachine(place, 'b');
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await expect(b.access.start()).rejects.toThrow(fault);
      expect(withoutSeal(place.storeDir)).toEqual(before);
    }
    await expect(b.access.start()).rejects.toThrow(basename(folder));
    await expect(b.access.start()).rejects.toThrow(/\.recover.*move it all away/);
    await expect(b.read()).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(b.access.status().durable).toBe(false);
    await b.access.stop();

    rmSync(folder, { recursive: true });
    cpSync(backup, folder, { recursive: true });
    const c = await startMachine(place, 'c');
    expect(await c.read()).toEqual(ids);
  });

  it('that only says another digest than its base has is whole: it is used, told of and kept', async () => {
    const { place, ids } = await makeVolume();
    const name = batonOf(place);
    writeFileSync(join(folderOf(place), 'messages.db.sha256'), `${'0'.repeat(64)}  messages.db\n`);
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
    expect(errorsOf(b).join()).toContain('is damaged');
    expect(b.lines.find(({ level }) => level >= 50)?.fault).toMatch(/messages\.db is not as PicoClaw wrote it/);
    expect(existsSync(join(place.storeDir, `damaged-${name}`, 'messages.db'))).toBe(true);
    // What follows is whole again.
    await b.access.stop();
    const c = await startMachine(place, 'c');
    expect(errorsOf(c)).toEqual([]);
    expect(await c.read()).toEqual(ids);
  });

  it('in one byte of its base, which nothing but the digest tells, is used as far as SQLite finds it whole, and told of', async () => {
    const { place, ids } = await makeVolume();
    const name = batonOf(place);
    const content = readFileSync(base(place));
    const at = content.indexOf('question ');
    expect(at).toBeGreaterThan(0);
    changeByte(base(place), at);
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
    expect(errorsOf(b).join()).toContain('is damaged');
    expect(foldersOf(place)).toEqual([batonOf(place)]);
    expect(readdirSync(place.storeDir)).toContain(`damaged-${name}`);
  });
});

describe('a generation that is damaged, with an older one that is whole', () => {
  it.each(damage)('(%s) is put aside, and the older one is used, loudly', async (_what, _fault, harm) => {
    const { place, ids } = await makeVolume();
    const name = batonOf(place);
    const { number } = generationOf(place);
    // As a removal that has not happened yet leaves it: everything but what came last.
    const older = join(place.storeDir, `${number - 1}-${'0'.repeat(16)}`);
    cpSync(folderOf(place), older, { recursive: true });
    harm(place);
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
    expect(errorsOf(b)).toEqual([
      'a generation on the volume is damaged',
      'the volume is damaged; what could be read whole is in use, and the rest is kept',
    ]);
    expect(readdirSync(place.storeDir)).toContain(`damaged-${name}`);
    expect(foldersOf(place)).toEqual([batonOf(place)]);
    expect(generationOf(place).number).toBe(number + 1);
  });
});

describe('a log that is damaged', () => {
  it('below what its owner has flushed keeps what is before, is told of and put aside', async () => {
    const { place, ids } = await makeVolume();
    const a = await startMachine(place, 'a');
    const from = statSync(log(place)).size;
    const later = [await a.write(), await a.write(), await a.write()];
    await a.access.stop();
    const name = batonOf(place);
    const { size } = statSync(log(place));
    changeByte(log(place), Math.floor((from + size) / 2));
    const b = await startMachine(place, 'b');
    const left = await b.read();
    expect(left).toEqual(expect.arrayContaining(ids));
    expect([...ids, ...later]).toEqual(expect.arrayContaining(left));
    expect(left.length).toBeLessThan(ids.length + later.length);
    expect(errorsOf(b).join()).toContain('is damaged');
    expect(readdirSync(place.storeDir)).toContain(`damaged-${name}`);
    expect(statSync(join(place.storeDir, `damaged-${name}`, 'wal')).size).toBe(size);
    expect(await (await startMachine(place, 'c')).read()).toEqual(left);
  });

  it('above that, as a kill leaves it, is silently read to where it is whole', async () => {
    const { place, ids } = await makeVolume();
    const whole = readFileSync(log(place));
    writeFileSync(log(place), Buffer.concat([whole, whole.subarray(32, 2000)]));
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
    expect(errorsOf(b)).toEqual([]);
    expect(readFileSync(log(place)).subarray(0, whole.length)).toEqual(whole);
    expect(foldersOf(place)).toEqual([batonOf(place)]);
  });
});

describe("a person's sqlite3 that may write", () => {
  it('and folded the log in while nobody was at work has changed nothing that counts', async () => {
    const { place, ids } = await makeVolume();
    chmodSync(base(place), 0o644);
    editAndClose(place.database, 'select 1');
    editAndClose(place.database, 'PRAGMA wal_checkpoint(PASSIVE)');
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
    expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });

  it('and took its name away while an instance is at work makes a snapshot due, before which syncs go on', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    chmodSync(base(place), 0o644);
    editAndClose(place.database, 'select count(*) from messages');
    ids.push(await a.write());
    await expect.poll(() => a.access.status()).toMatchObject({ epoch: 2, durable: true, fault: null });
    ids.push(await a.write());
    expect(conversationsOn(place)).toEqual(ids.sort());
    expect(errorsOf(a)).toEqual([]);
    expect(readdirSync(folderOf(place))).toContain('messages.db-wal');
  });

  it('and emptied the log while an instance is at work makes it refuse until a snapshot is made, and nothing is lost', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    chmodSync(base(place), 0o644);
    editAndClose(place.database, 'PRAGMA wal_checkpoint(TRUNCATE)');
    await expect(a.write()).rejects.toThrow('removed the write-ahead log');
    expect(a.access.status()).toMatchObject({ durable: false, fault: expect.stringContaining('removed') });
    await expect.poll(() => a.access.status()).toMatchObject({ epoch: 2, durable: true, fault: null });
    ids.push(await a.write());
    expect(await a.read()).toEqual(expect.arrayContaining(ids));
    expect(conversationsOn(place)).toEqual(expect.arrayContaining(ids));
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(expect.arrayContaining(ids));
    expect(errorsOf(b)).toEqual([]);
  });

  it('and was killed in the middle of it leaves what is whole with its log', async () => {
    const { place, ids } = await makeVolume();
    chmodSync(base(place), 0o644);
    editAndDie(place.database, 'PRAGMA wal_checkpoint(PASSIVE)');
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual(ids);
  });
});

describe('a baton that is damaged', () => {
  it('missing while there are generations is refused, and nothing is made', async () => {
    const { place, ids } = await makeVolume();
    const name = batonOf(place);
    renameSync(join(place.storeDir, 'baton'), join(place.root, 'baton'));
    const before = contentOf(place.storeDir);
    await expect(makeMachine(place, 'b').access.start()).rejects.toThrow(`has ${name} but no folder baton`);
    expect(contentOf(place.storeDir)).toEqual(before);
    mkdirSync(join(place.storeDir, 'baton'));
    writeFileSync(join(place.storeDir, 'baton', name), '');
    expect(await (await startMachine(place, 'c')).read()).toEqual(ids);
  });

  it('a file in its place is refused', async () => {
    const place = makePlace();
    writeFileSync(join(place.storeDir, 'baton'), 'of a person');
    await expect(makeMachine(place, 'a').access.start()).rejects.toThrow(/ENOTDIR/);
    expect(readFileSync(join(place.storeDir, 'baton'), 'utf8')).toBe('of a person');
  });
});
