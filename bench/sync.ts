/**
 * What it costs to make an answer durable and to start from a volume, by the size of the history:
 * `node bench/sync.ts [megabytes …]`.
 *
 * - The sizes take turns, a few requests each, so that what else the machine does meanwhile falls on all of them alike.
 * - One request is a `use` of the store: 4 rows of 2 KB, then a sync. Snapshots and checkpoints that fall due are in the figures.
 * - The same database is copied whole in the same run: what a volume without a log does for each answer.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { StoreAccess } from '../src/store/access.ts';
import { copyWhole, makePlace, openWriter, type Place, startAccess, writeHistory } from './history.ts';
import { round, stats } from './stats.ts';

type Figures = { syncs: object[]; groups: object[]; hydrates: object[] };

type Subject = {
  history: string;
  place: Place;
  access: StoreAccess;
  writer: ReturnType<typeof openWriter>;
  copyEveryTurns: number;
  syncsMs: number[];
  copiesMs: number[];
  floor: FileHandle;
  floorsMs: number[];
};

const turns = 30;
const requestsPerTurn = 20;
/** Of the size at which a snapshot is due. */
const nearlyAll = 0.95;
/** Of the log, about. */
const bytesPerRequest = 80_000;
const change = Buffer.alloc(bytesPerRequest, 1);
const longestStretch = 8 * 1024 * 1024;

export async function benchSync(sizes: number[]): Promise<Figures> {
  await using places = new AsyncDisposableStack();
  const subjects: Subject[] = [];
  const hydrates: object[] = [];
  for (const megabytes of sizes) {
    const subject = await makeSubject(places.use(await makePlace()), megabytes);
    hydrates.push(await measureHydrate(subject));
    await lengthenLog(subject);
    hydrates.push(await measureHydrate(subject));
    subjects.push(subject);
  }
  await takeTurns(subjects);
  const groups: object[] = [];
  for (const subject of subjects) {
    // One size says it: what a sync costs does not depend on it.
    if (subject === subjects[0]) groups.push(await measureGroups(subject));
    await subject.floor.close();
    subject.writer.close();
    await subject.access.stop();
  }
  return { syncs: subjects.flatMap(toRows), groups, hydrates };
}

async function makeSubject(place: Place, megabytes: number): Promise<Subject> {
  await writeHistory(place, megabytes);
  const access = await startAccess(place);
  return {
    history: `${megabytes} MB`,
    place,
    access,
    writer: openWriter(place.localDbPath),
    // As often as a copy of this size can be afforded.
    copyEveryTurns: Math.max(1, Math.round(megabytes / 70)),
    syncsMs: [],
    copiesMs: [],
    floor: await open(join(place.dir, 'floor'), 'wx'),
    floorsMs: [],
  };
}

async function takeTurns(subjects: Subject[]): Promise<void> {
  for (const subject of subjects) await request(subject);
  for (let turn = 0; turn < turns; turn++) {
    for (const subject of subjects) {
      for (let i = 0; i < requestsPerTurn; i++) {
        subject.syncsMs.push(await request(subject));
        await appendAndFlush(subject);
      }
    }
  }
  // Not among them: the flush of a copy would hold up the flushes after it.
  for (let turn = 0; turn < turns; turn++) {
    for (const subject of subjects) {
      if (turn % subject.copyEveryTurns === 0)
        subject.copiesMs.push(await copyWhole(subject.place, subject.writer.connection));
    }
  }
}

/** What the file system asks for a flush of as many bytes, without anything of the server's. */
async function appendAndFlush({ floor, floorsMs }: Subject): Promise<void> {
  const startedAt = performance.now();
  await floor.write(change, 0, change.length, floorsMs.length * change.length);
  await floor.datasync();
  floorsMs.push(performance.now() - startedAt);
}

/** Milliseconds of the sync alone. */
function request({ access, writer }: Subject): Promise<number> {
  return access.use('writes', async () => {
    writer.write();
    const startedAt = performance.now();
    await access.sync();
    return performance.now() - startedAt;
  });
}

/** Requests a second, of one that waits for each and of 16 at once. They take turns, too. */
async function measureGroups(subject: Subject): Promise<object> {
  const rates: Record<number, number[]> = { 1: [], 16: [] };
  for (let turn = 0; turn < 3; turn++) {
    for (const [atOnce, each] of [
      [1, 150],
      [16, 40],
    ] as const) {
      const startedAt = performance.now();
      const client = async () => {
        for (let i = 0; i < each; i++) await request(subject);
      };
      await Promise.all(Array.from({ length: atOnce }, client));
      rates[atOnce]?.push((atOnce * each * 1000) / (performance.now() - startedAt));
    }
  }
  const [alone, together] = [stats(rates[1] ?? []).p50, stats(rates[16] ?? []).p50];
  return {
    history: subject.history,
    'one at a time, requests/s': Math.round(alone),
    '16 at once': Math.round(together),
    ratio: round(together / alone),
  };
}

/** The takeover, and all that a start does with the store. */
async function measureHydrate(subject: Subject): Promise<object> {
  const durationsMs: number[] = [];
  const { walBytes } = subject.access.status();
  const times = subject.copyEveryTurns > 5 ? 2 : 5;
  for (let i = 0; i < times; i++) {
    subject.writer.close();
    await subject.access.stop();
    subject.access = await startAccess(subject.place);
    subject.writer = openWriter(subject.place.localDbPath);
    durationsMs.push(subject.access.status().hydrate?.ms ?? Number.NaN);
  }
  const { p50, max, n } = stats(durationsMs);
  return { history: subject.history, 'log, MB': round(walBytes / 1e6), p50, max, n };
}

/** Up to where a snapshot would be made. */
async function lengthenLog({ access, writer }: Subject): Promise<void> {
  for (;;) {
    const { walBytes, databaseBytes, lastSnapshot } = access.status();
    const left = Math.max(4 * 1024 * 1024, databaseBytes / 4) * nearlyAll - walBytes;
    if (left <= 0) return;
    await access.use('writes', async () => {
      for (let bytes = 0; bytes < Math.min(left, longestStretch); bytes += bytesPerRequest) writer.write();
      await access.sync();
    });
    if (access.status().lastSnapshot !== lastSnapshot) return;
  }
}

function toRows({ history, syncsMs, floorsMs, copiesMs }: Subject): object[] {
  return [
    { history, what: 'sync', ...stats(syncsMs) },
    { history, what: 'the same bytes appended to a file and flushed (floor)', ...stats(floorsMs) },
    { history, what: 'whole-file copy', ...stats(copiesMs) },
  ];
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  const { syncs, groups, hydrates } = await benchSync(sizes.length > 0 ? sizes : [1, 100]);
  for (const table of [syncs, groups, hydrates]) console.table(table);
}
