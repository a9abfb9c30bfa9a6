/**
 * How soon a server answers `GET /health` while it writes a snapshot of a large history: `node bench/health.ts [megabytes]`.
 *
 * The snapshot is made due by taking away the name under which sqlite3 finds the log, as a person's sqlite3 does.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { startModel } from '../test/support/model.ts';
import { startServer, type TestServer } from '../test/support/server.ts';
import { makePlace, writeHistory } from './history.ts';
import { type OpenLoop, openLoop } from './open-loop.ts';
import { round, stats } from './stats.ts';

const stall = z.object({ longestMs: z.number(), mostWorkMs: z.number() });

const requestsPerS = 200;
const quietMs = 5_000;
const maxSnapshotMs = 120_000;

export async function benchHealth(megabytes: number): Promise<object[]> {
  await using place = await makePlace();
  await writeHistory(place, megabytes);
  mkdirSync(join(place.dir, 'memory'));
  const model = await startModel({ chunkSize: 64 });
  model.mock.on({}, { content: 'A short answer in a few words.' });
  const stallFile = join(place.dir, 'stall');
  const probe = join(import.meta.dirname, 'stall-probe.ts');
  await using server = await startServer({
    model,
    dir: place.dir,
    env: { NODE_OPTIONS: `--import ${probe}`, STALL_FILE: stallFile },
  });
  await server.chat({ message: 'hello' });
  const client = openLoop(`${server.url}/health`, requestsPerS);
  const read = () => readWindow(server, client, stallFile);
  try {
    await sleep(1_000);
    await read();
    await sleep(quietMs);
    const quiet = await read();
    await server.chat({ message: 'hello' });
    const chat = await read();
    makeSnapshotDue(place.storeDir);
    await server.chat({ message: 'hello' });
    const { duration_ms } = await snapshotMade(server);
    const busy = await read();
    return [
      { while: 'nothing else', ...quiet },
      { while: 'one chat', ...chat },
      { while: `one chat and a snapshot of ${megabytes} MB (${String(duration_ms)} ms)`, ...busy },
    ];
  } finally {
    client.stop();
    await model.stop();
  }
}

async function readWindow(server: TestServer, client: OpenLoop, stallFile: string): Promise<object> {
  const { n, p50, p99, max } = stats(await client.take());
  rmSync(stallFile, { force: true });
  server.kill('SIGUSR2');
  while (!existsSync(stallFile)) await sleep(5);
  const { longestMs, mostWorkMs } = stall.parse(JSON.parse(readFileSync(stallFile, 'utf8')));
  return { n, p50, p99, max, 'longest stall': round(longestMs), 'most work at a time': round(mostWorkMs) };
}

function makeSnapshotDue(storeDir: string): void {
  const [current = ''] = readdirSync(join(storeDir, 'baton'));
  rmSync(join(storeDir, current, 'messages.db-wal'));
}

async function snapshotMade(server: TestServer) {
  const late = AbortSignal.timeout(maxSnapshotMs);
  return Promise.race([
    server.logged(({ msg }) => msg === 'snapshot made'),
    new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(new Error('no snapshot was made')))),
  ]);
}

if (import.meta.main) console.table(await benchHealth(Number(process.argv[2] ?? 1000)));
