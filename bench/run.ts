/**
 * `npm run bench`: every figure of bench/README.md, measured in one run on this machine against a loopback model that
 * answers at once, printed, and written to bench/results.json. With `-- --large`, those at 1 GB of history too, which takes
 * minutes and 6 GB of disk. What is compared with what is in the same run, so that ratios hold on another machine.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { startModel } from '../test/support/model.ts';
import { startServer } from '../test/support/server.ts';
import { benchBurst, benchCold, benchReturning, benchTurns, benchWarm, firstText } from './first-text.ts';
import { benchGateway } from './gateway.ts';
import { rate } from './rate.ts';
import { benchSdk } from './sdk.ts';
import { benchStart } from './start.ts';
import { type Row, sample, toRow } from './stats.ts';

const root = join(import.meta.dirname, '..');
const machine = `node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model}, ${new Date().toISOString()}`;
const rows: Row[] = [];

const model = await startModel({ chunkSize: 4 });
model.mock.on({}, { content: 'A short answer in a few words.' });

await new Promise((resolve) =>
  spawn('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' }).once('exit', resolve),
);

console.log(`${machine}\n`);
add(await benchGateway(model));
add(await benchSdk(model));
add(await benchWarm(model));
add(await benchReturning(model));
add(await benchCold(model));
add(await benchBurst(model));
add(await benchTurns(model, 50));
add(await benchReads());
add(await benchStart());
await model.stop();
console.table(rows);
writeFileSync(join(import.meta.dirname, 'results.json'), `${JSON.stringify({ machine, rows }, null, 2)}\n`);

const isLarge = process.argv.includes('--large');
await print('sync, 16 at once, and hydrate', 'sync.ts', isLarge ? ['1', '100', '1000'] : ['1', '100']);
await print('bytes written to the volume', 'writes.ts', ['1', '100']);
await print('pages that a chat changes, by settings of SQLite', 'pages.ts', ['100']);
await print('GET /health while a snapshot is written', 'health.ts', [isLarge ? '1000' : '100']);

async function benchReads(): Promise<Row[]> {
  await using server = await startServer({ model, entry: 'dist/main.js' });
  await firstText(server.url, { message: 'hi' });
  return [
    toRow('GET /health', await sample(200, () => timed(`${server.url}/health`))),
    toRow('GET /chat', await sample(200, () => timed(`${server.url}/chat`))),
    await rate('GET /health, 8 clients', `${server.url}/health`),
    await rate('GET /chat, 8 clients', `${server.url}/chat`),
  ];
}

/** In a process of its own: each counts or measures what its process does. */
async function print(title: string, script: string, args: string[]): Promise<void> {
  console.log(`${title}:`);
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`bench/${script} failed`);
}

function add(measured: Row[]): void {
  rows.push(...measured);
}

async function timed(url: string): Promise<number> {
  const start = performance.now();
  await (await fetch(url)).arrayBuffer();
  return performance.now() - start;
}
