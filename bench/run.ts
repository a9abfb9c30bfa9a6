/**
 * `npm run bench`: every figure of bench/README.md, measured in one run on this machine against a loopback model that
 * answers at once. With `-- --large`, those at 1 GB of history too, which takes minutes and 6 GB of disk. What is compared with what is in the same run, so that ratios hold on another machine.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { startModel } from '../test/support/model.ts';
import { makeDir, post, serverEnv, startServer, type TestServer } from '../test/support/server.ts';
import { type Stats, sample } from './stats.ts';

const root = join(import.meta.dirname, '..');
const rows: { what: string; p50: number; p95: number; n: number }[] = [];

const model = await startModel({ chunkSize: 4 });
model.mock.on({}, { content: 'A short answer in a few words.' });

await new Promise((resolve) =>
  spawn('npm', ['run', '-s', 'build'], { cwd: root, stdio: 'inherit' }).once('exit', resolve),
);

console.log(`node ${process.versions.node}, ${cpus().length} × ${cpus()[0]?.model}, ${new Date().toISOString()}\n`);
add('an empty Node process, start to exit (floor)', await sample(15, emptyProcess));
add('process start → first /health, sources', await sample(15, () => startToHealth('src/main.ts')));
add('process start → first /health, bundle', await sample(15, () => startToHealth('dist/main.js')));

{
  await using server = await startServer({ model });
  add('first streamed text from the loopback model itself (floor)', await sample(20, directFirstText));
  await firstText(server, { message: 'warm up' });
  add(
    'first streamed text, new conversation',
    await sample(20, async () => (await firstText(server, { message: 'hi' })).ms),
  );
  const { conversation_id } = await firstText(server, { message: 'hi' });
  add(
    'first streamed text, continued conversation',
    await sample(20, async () => (await firstText(server, { message: 'again', conversation_id })).ms),
  );
  add('GET /health', await sample(200, () => timed(() => fetch(`${server.url}/health`))));
  add('GET /chat', await sample(200, () => timed(() => fetch(`${server.url}/chat`))));
}
console.table(rows);
await model.stop();

const isLarge = process.argv.includes('--large');
await print('sync, 16 at once, and hydrate', 'sync.ts', isLarge ? ['1', '100', '1000'] : ['1', '100']);
await print('bytes written to the volume', 'writes.ts', ['1', '100']);
await print('pages that a chat changes, by settings of SQLite', 'pages.ts', ['100']);
await print('GET /health while a snapshot is written', 'health.ts', [isLarge ? '1000' : '100']);

/** In a process of its own: each counts or measures what its process does. */
async function print(title: string, script: string, args: string[]): Promise<void> {
  console.log(`${title}:`);
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], { stdio: 'inherit' });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`bench/${script} failed`);
}

function add(what: string, { p50, p95, n }: Stats): void {
  rows.push({ what, p50, p95, n });
}

async function timed(work: () => Promise<Response>): Promise<number> {
  const start = performance.now();
  await (await work()).arrayBuffer();
  return performance.now() - start;
}

async function emptyProcess(): Promise<number> {
  const start = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - start;
}

/** Polls from the start of the process; a refused connection is tried again at once. */
async function startToHealth(entry: string): Promise<number> {
  const dir = makeDir();
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const start = performance.now();
  const child = spawn(process.execPath, [entry], {
    cwd: root,
    env: { ...serverEnv(dir, model.url), PORT: String(port), LOG_LEVEL: 'silent' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  let ms = 0;
  for (let attempt = 0; ms === 0 && attempt < 2000; attempt++) {
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => null);
    if (response?.ok) ms = performance.now() - start;
    else await new Promise((resolve) => setTimeout(resolve, 2));
  }
  child.kill('SIGKILL');
  await exited;
  rmSync(dir, { recursive: true, force: true });
  if (ms === 0) throw new Error(`${entry} did not answer /health`);
  return ms;
}

/** From the request to the first `chunk`; the stream is read to its end. */
async function firstText(server: TestServer, body: object): Promise<{ ms: number; conversation_id: string }> {
  const start = performance.now();
  let ms = Number.NaN;
  let conversation_id = '';
  for await (const { event, data } of server.stream(body)) {
    if (event === 'chunk' && Number.isNaN(ms)) ms = performance.now() - start;
    if (event === 'done') conversation_id = String(data.conversation_id);
  }
  return { ms, conversation_id };
}

async function directFirstText(): Promise<number> {
  const start = performance.now();
  const response = await post(`${model.url}/v1/messages`, {
    model: 'claude-opus-5-5',
    max_tokens: 100,
    stream: true,
    messages: [{ role: 'user', content: 'hi' }],
  });
  let ms = Number.NaN;
  for await (const text of (response.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream())) {
    if (Number.isNaN(ms) && text.includes('content_block_delta')) ms = performance.now() - start;
  }
  return ms;
}
