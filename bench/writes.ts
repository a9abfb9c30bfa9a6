/**
 * What the volume writes for a byte of change, over a long run of requests and at least 8 snapshots: `node bench/writes.ts`.
 *
 * The change is told in two ways: as the content of the rows, and as the pages that SQLite changed for it (what was appended to
 * the log). A snapshot writes the whole database, so between the two stands when one is made.
 */

import { countBytes } from './count-bytes.ts';
import { round } from './stats.ts';

const snapshots = 8;
const maxRequests = 20_000;

/** In a process that has not yet imported the store. */
export async function benchWrites(sizes: number[]): Promise<object[]> {
  const count = await countBytes();
  const { makePlace, openWriter, rowBytes, rowsPerRequest, startAccess, writeHistory } = await import('./history.ts');
  const rows: object[] = [];
  for (const megabytes of sizes) {
    await using place = await makePlace();
    await writeHistory(place, megabytes);
    const access = await startAccess(place);
    const { write, close } = openWriter(place.localDbPath);
    count.begin(place.storeDir);
    const first = access.status();
    let requests = 0;
    while (access.status().epoch < first.epoch + snapshots && requests < maxRequests) {
      await access.use('writes', async () => {
        write();
        await access.sync();
      });
      requests += 1;
    }
    const { 'messages.db': base = 0, wal = 0, ...others } = count.byName();
    const { epoch, databaseBytes } = access.status();
    close();
    await access.stop();
    const other = Object.values(others).reduce((sum, bytes) => sum + bytes, 0);
    const total = base + wal + other;
    rows.push({
      'database, MB': `${toMb(first.databaseBytes)} → ${toMb(databaseBytes)}`,
      requests,
      snapshots: epoch - first.epoch,
      'log, MB': toMb(wal),
      'bases, MB': toMb(base),
      'other, MB': toMb(other),
      'log per byte of content': round(wal / (requests * rowsPerRequest * rowBytes)),
      'all per byte of changed pages': round(total / wal),
      'all per byte of content': round(total / (requests * rowsPerRequest * rowBytes)),
    });
  }
  return rows;
}

function toMb(bytes: number): number {
  return round(bytes / 1e6);
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  console.table(await benchWrites(sizes.length > 0 ? sizes : [1, 100]));
}
