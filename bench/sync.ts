/**
 * What it costs to make an answer durable and to start from a volume, by the size of the history: `node bench/sync.ts`.
 *
 * Each sync follows a change of 4 rows of 2 KB, as a request makes. The event-loop stall is the longest time in which
 * nothing else could run while the syncs went on; a request that asks `/health` waits that long at worst.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { systemClock } from '../src/lib/clock.ts';
import { createLog } from '../src/lib/log.ts';
import { createSqliteStore } from '../src/store/sqlite/sqlite-store.ts';
import { createCopyVolume } from '../src/store/volume/copy-volume.ts';
import { stats } from './stats.ts';

export type SyncFigures = {
  historyMb: number;
  syncs: number;
  syncP50Ms: number;
  syncP95Ms: number;
  syncMaxMs: number;
  longestStallMs: number;
  hydrateMs: number;
};

const rowBytes = 2_000;
const rowsPerSync = 4;

/** One row of figures a size of history; at 100 MB fewer syncs, which take half a second each. */
export async function benchSync(): Promise<SyncFigures[]> {
  return [await measure({ historyMb: 1, syncs: 200 }), await measure({ historyMb: 100, syncs: 30 })];
}

async function measure(input: { historyMb: number; syncs: number }): Promise<SyncFigures> {
  const folder = await mkdtemp(join(tmpdir(), 'picoclaw-bench-sync-'));
  try {
    const { durationsMs, longestStallMs } = await measureSyncs(folder, input);
    const { p50, p95, max } = stats(durationsMs);
    return {
      ...input,
      syncP50Ms: p50,
      syncP95Ms: p95,
      syncMaxMs: max,
      longestStallMs: Math.round(longestStallMs),
      hydrateMs: await measureHydrate(folder),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureSyncs(folder: string, input: { historyMb: number; syncs: number }) {
  const localDbPath = join(folder, 'local.db');
  const volume = createCopyVolume({ storeDir: folder, localDbPath, clock: systemClock, log: await silentLog() });
  await volume.hydrate();
  const store = await createSqliteStore({ path: localDbPath });
  const writer = new DatabaseSync(localDbPath);
  writer.exec(`PRAGMA synchronous = OFF;
    insert into conversations (id, created_at, last_activity, message_count, status, fencing_token, seen_seq)
    values ('conv-bench', '', '', 0, 'idle', 0, 0)`);
  const write = makeRowWriter(writer);
  write(Math.ceil((input.historyMb * 1024 * 1024) / rowBytes));
  // The history is old: its pages are in the database file, not in the WAL of one great transaction.
  writer.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  await volume.sync();

  const stalls = watchStalls();
  const durationsMs: number[] = [];
  for (let i = 0; i < input.syncs; i++) {
    write(rowsPerSync);
    const startedAt = performance.now();
    await volume.sync();
    durationsMs.push(performance.now() - startedAt);
  }
  const longestStallMs = stalls.end();
  writer.close();
  await store.close();
  await volume.stop();
  return { durationsMs, longestStallMs };
}

async function measureHydrate(folder: string): Promise<number> {
  const localDbPath = join(folder, 'local.db');
  const volume = createCopyVolume({ storeDir: folder, localDbPath, clock: systemClock, log: await silentLog() });
  const { durationMs } = await volume.hydrate();
  await volume.stop();
  return durationMs;
}

/** SQLite makes the rows itself, so that the garbage of this bench is not what stalls the event loop. */
function makeRowWriter(db: DatabaseSync): (rows: number) => void {
  const insert = db.prepare(
    `insert into messages (id, conversation_id, role, sender, sender_name, content, created_at)
     with recursive row (n) as (select 1 union all select n + 1 from row where n < ?)
     select hex(randomblob(16)), 'conv-bench', 'user', 'user', 'user', hex(randomblob(${rowBytes / 2})), '' from row`,
  );
  return (rows) => {
    insert.run(rows);
  };
}

/** The longest gap between two turns of the event loop, as a timer that is always due sees it. */
function watchStalls(): { end(): number } {
  let longestMs = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longestMs = Math.max(longestMs, now - last);
    last = now;
  }, 1);
  return {
    end: () => {
      clearInterval(timer);
      return longestMs;
    },
  };
}

function silentLog() {
  return createLog({ level: 'silent', format: 'json' });
}

if (import.meta.main) console.table(await benchSync());
