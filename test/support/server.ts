/**
 * The real server, as a process of its own, for tests that need its whole life: start, signals, crashes, exit codes.
 *
 *     await using server = await startServer({ model });
 *     const answer = await server.chat({ message: 'hello' });
 *
 * Its folders and its log live in `dir`, which a test makes (temporary-folder.ts) and can give to the next server too. Without
 * one it makes its own and removes it with itself.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { appVariable, entryIn, installedApp } from './bundle.ts';
import { type Frame, readFrames } from './frames.ts';

const root = join(import.meta.dirname, '../..');

export const chatAnswer = z.looseObject({
  status: z.enum(['success', 'timeout', 'error']),
  conversation_id: z.string(),
  message_id: z.string(),
  run_id: z.string(),
  session_id: z.string().nullable(),
  result: z.string().nullable(),
  error: z.string().optional(),
});
export type ChatAnswer = z.infer<typeof chatAnswer>;

const logEntry = z.looseObject({ level: z.string(), msg: z.string().optional() });
export type LogEntry = z.infer<typeof logEntry>;

export type TestServer = AsyncDisposable & {
  url: string;
  dir: string;
  pid: number;
  /** Everything it logged so far; what is not JSON is a failure of the test that looks. */
  log(): LogEntry[];
  stderr(): string;
  /** Resolves with the first entry, past or to come, that satisfies the predicate; rejects when the server ends without it. */
  logged(predicate: (entry: LogEntry) => boolean): Promise<LogEntry>;
  /** POST /chat without streaming; fails the test on anything but 200. */
  chat(body: object): Promise<ChatAnswer>;
  /** POST /chat with `stream: true`. */
  stream(body: object): AsyncGenerator<Frame>;
  get(path: string): Promise<{ status: number; body: Record<string, unknown> }>;
  kill(signal: NodeJS.Signals): void;
  /** The exit code, or the signal that ended it. */
  exited: Promise<number | NodeJS.Signals>;
};

export type ServerInput = {
  /** Where the model API is. */
  model: { url: string };
  /** Folders of an earlier server. */
  dir?: string;
  env?: Record<string, string>;
  /** The bundle that the suite has made (global-setup.ts), and outside of it the sources, unless it is something else that is looked at. */
  entry?: string;
};

/** For what is no test and removes it itself. */
export function makeDir(): string {
  return mkdtempSync(join(tmpdir(), 'picoclaw-test-'));
}

/** The environment of a server on the folders of `dir`: nothing of the test's own environment but the PATH. */
export function serverEnv(dir: string, modelUrl: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: dir,
    TZ: 'UTC',
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_FORMAT: 'json',
    ANTHROPIC_API_KEY: 'sk-ant-test-0123456789',
    ANTHROPIC_BASE_URL: modelUrl,
    STORE_DIR: join(dir, 'store'),
    MEMORY_DIR: join(dir, 'memory'),
    LOCAL_DB_PATH: join(dir, 'local', 'messages.db'),
    // A start takes most of a core; where it matters a test asks for one.
    WARM_SPARES: '0',
  };
}

export async function startServer(input: ServerInput): Promise<TestServer> {
  const dir = input.dir ?? makeDir();
  const child = spawnServer({ ...serverEnv(dir, input.model.url), ...input.env }, [], input.entry);
  const exited = exitOf(child);
  const lines: string[] = [];
  const watchers = new Set<() => void>();
  const stdout = createInterface({ input: child.stdout });
  const closed = once(stdout, 'close');
  stdout.on('line', (line) => {
    lines.push(line);
    appendFileSync(join(dir, 'server.log'), `${line}\n`);
    for (const watcher of watchers) watcher();
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });

  const log = () => lines.map((line) => logEntry.parse(JSON.parse(line)));
  const logged = (predicate: (entry: LogEntry) => boolean) =>
    new Promise<LogEntry>((resolve, reject) => {
      const look = () => {
        const found = log().find(predicate);
        if (!found) return;
        watchers.delete(look);
        resolve(found);
      };
      watchers.add(look);
      look();
      void Promise.all([exited, closed]).then(([code]) =>
        reject(new Error(`the server ended (${code}) without the awaited log entry:\n${lines.join('\n')}\n${stderr}`)),
      );
    });

  const listening = await logged((entry) => entry.msg === 'listening');
  const url = `http://127.0.0.1:${String(listening.port)}`;

  return {
    url,
    dir,
    pid: child.pid ?? 0,
    log,
    stderr: () => stderr,
    logged,
    async chat(body) {
      const response = await post(`${url}/chat`, body);
      const text = await response.text();
      if (response.status !== 200) throw new Error(`${response.status} ${text}`);
      return chatAnswer.parse(JSON.parse(text));
    },
    async *stream(body) {
      yield* readFrames(await post(`${url}/chat`, { ...body, stream: true }));
    },
    async get(path) {
      const response = await fetch(`${url}${path}`);
      return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
    },
    kill: (signal) => child.kill(signal),
    exited,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await Promise.all([exited, closed]);
      if (input.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Runs the server's process to its end: for starts that must fail. */
export async function runServer(
  env: Record<string, string>,
  args: string[] = [],
  entry?: string,
): Promise<{ code: number | NodeJS.Signals; stdout: string; stderr: string }> {
  const child = spawnServer(env, args, entry);
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const [code] = await Promise.all([exitOf(child), once(child.stdout, 'close'), once(child.stderr, 'close')]);
  return { code, stdout, stderr };
}

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
}

function spawnServer(env: Record<string, string>, args: string[] = [], entry = programEntry()) {
  return spawn(process.execPath, [entry, ...args], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What runs as `picoclaw`, from the project's folder. */
export function programEntry(): string {
  return process.env[appVariable] === undefined ? 'src/main.ts' : entryIn(installedApp());
}

function exitOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve) => child.once('exit', (code, signal) => resolve(code ?? signal ?? 1)));
}
