/**
 * From the start of a process to its first `GET /health` that is ok: `node bench/start.ts [another dist/main.js …]`.
 *
 * - What is compared takes turns, so that what else the machine does meanwhile falls on all of it alike. The floor is a node
 *   process that does nothing.
 * - Each start has folders of its own, new ones: a volume's first start is its longest.
 * - A compile cache is filled by a start that ends in order; the starts that are measured are killed, and leave none.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeDir, serverEnv } from '../test/support/server.ts';
import { type Row, stats, toRow } from './stats.ts';

type Subject = { what: string; measure: (end: 'SIGKILL' | 'SIGTERM') => Promise<number>; samplesMs: number[] };

const root = join(import.meta.dirname, '..');
const rounds = 21;
const maxStartMs = 30_000;

/** `others`: entries of other builds, to compare with. */
export async function benchStart(others: string[] = []): Promise<Row[]> {
  await build();
  const cacheDir = makeDir();
  const noCache = { NODE_DISABLE_COMPILE_CACHE: '1' };
  const withCache = { NODE_COMPILE_CACHE: cacheDir };
  const start = (what: string, entry: string, env: Record<string, string>): Subject => ({
    what: `process start → first /health, ${what}`,
    measure: (end) => startToHealth(entry, { env, end }),
    samplesMs: [],
  });
  const subjects: Subject[] = [
    { what: 'an empty Node process, start to exit (floor)', measure: emptyProcess, samplesMs: [] },
    start('sources', 'src/main.ts', withCache),
    start('bundle without a compile cache', 'dist/main.js', noCache),
    start('bundle', 'dist/main.js', withCache),
    ...others.flatMap((entry) => [
      start(`${relative(root, entry)} without a compile cache`, entry, noCache),
      start(relative(root, entry), entry, withCache),
    ]),
  ];
  try {
    for (const { measure } of subjects) await measure('SIGTERM');
    for (let round = 0; round < rounds; round++)
      for (const { measure, samplesMs } of subjects) samplesMs.push(await measure('SIGKILL'));
  } finally {
    rmSync(cacheDir, { recursive: true, force: true });
  }
  return subjects.map(({ what, samplesMs }) => toRow(what, stats(samplesMs)));
}

async function build(): Promise<void> {
  const [code] = await once(spawn(process.execPath, ['scripts/build.ts'], { cwd: root, stdio: 'inherit' }), 'exit');
  if (code !== 0) throw new Error('the bundle cannot be built');
}

async function emptyProcess(): Promise<number> {
  const startedAt = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return performance.now() - startedAt;
}

async function startToHealth(
  entry: string,
  { env, end }: { env: Record<string, string>; end: NodeJS.Signals },
): Promise<number> {
  const dir = makeDir();
  const port = 20_000 + Math.floor(Math.random() * 12_000);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [entry], {
    cwd: root,
    // No model is asked before there is a run.
    env: { ...serverEnv(dir, 'http://127.0.0.1:1'), PORT: String(port), LOG_LEVEL: 'silent', ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const exited = once(child, 'exit');
  try {
    while (!(await isHealthy(port))) {
      if (child.exitCode !== null || performance.now() - startedAt > maxStartMs)
        throw new Error(`${entry} did not answer /health`);
      await sleep(1);
    }
    return performance.now() - startedAt;
  } finally {
    child.kill(end);
    await exited;
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Over a bare socket: a client that takes long to ask would be a part of the figure. */
function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'));
    socket.once('data', (data) => {
      resolve(data.toString('latin1').startsWith('HTTP/1.1 200'));
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

if (import.meta.main) console.table(await benchStart(process.argv.slice(2)));
