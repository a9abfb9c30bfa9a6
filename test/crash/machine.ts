/** An instance as a process that can die, freeze and thaw, on a machine with a local disk and the shared volume. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { type Plan, planVariable } from './plan.ts';

export type MachineInput = {
  dir: string;
  number: number;
  /** Name of its local disk. */
  local: string;
  strike: Plan['strike'];
  isLying: boolean;
  /** The whole server with the real agent, which asks this model. */
  modelUrl?: string;
};

const root = join(import.meta.dirname, '../..');
const entry = z.looseObject({ msg: z.string().optional(), port: z.int().optional() });

export type Machine = ReturnType<typeof startMachine>;

export function startMachine({ dir, number, local, strike, isLying, modelUrl }: MachineInput) {
  const journal = join(dir, `journal-${number}`);
  const roots = { volume: join(dir, 'store'), local: join(dir, local) };
  const plan: Plan = { journal, roots, strike, faultFile: join(dir, 'fault.json'), isLying };
  const script = modelUrl === undefined ? join(import.meta.dirname, 'instance.ts') : join(root, 'src/main.ts');
  const child = spawn(process.execPath, ['--import', join(import.meta.dirname, 'wrap-fs.ts'), script], {
    cwd: root,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH ?? '',
      HOME: dir,
      TZ: 'UTC',
      HOST: '127.0.0.1',
      PORT: '0',
      LOG_FORMAT: 'json',
      ANTHROPIC_API_KEY: 'sk-ant-test-0123456789',
      ...(modelUrl === undefined ? { BUILT_IN_SKILLS_DIR: join(dir, 'no-skills') } : { ANTHROPIC_BASE_URL: modelUrl }),
      STORE_DIR: roots.volume,
      MEMORY_DIR: join(dir, 'memory'),
      LOCAL_DB_PATH: join(roots.local, 'messages.db'),
      TASK_LOG_RETENTION: '100000',
      SHUTDOWN_GRACE_MS: '1000',
      NODE_COMPILE_CACHE: join(tmpdir(), 'picoclaw-crash-compiled'),
      [planVariable]: JSON.stringify(plan),
    },
  });
  const output: string[] = [];
  let port: number | null = null;
  let state: 'live' | 'frozen' | 'dead' = 'live';
  // A frozen one would stay for ever, whatever becomes of a test.
  const killAtExit = () => void child.kill('SIGKILL');
  process.once('exit', killAtExit);
  const exited = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once('exit', (code, signal) => {
      process.off('exit', killAtExit);
      state = 'dead';
      resolve(code ?? signal ?? 1);
    }),
  );
  const listening = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    output.push(line);
    const { msg, port: told } = entry.parse(JSON.parse(line));
    if (msg !== 'listening' || told === undefined) return;
    port = told;
    listening.resolve();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => output.push(text));

  return {
    number,
    pid: child.pid ?? 0,
    journal,
    output,
    exited,
    /** Resolves when it listens, or has died or been frozen before. */
    begun: Promise.race([listening.promise, exited, whenStopped(child, exited)]).then(() => {
      if (state === 'live' && port === null) state = 'frozen';
    }),
    /** Null: it never came so far as to listen. */
    get url() {
      return port === null ? null : `http://127.0.0.1:${port}`;
    },
    get state() {
      if (state === 'live' && isStopped(child.pid ?? 0)) state = 'frozen';
      return state;
    },
    freeze() {
      child.kill('SIGSTOP');
      if (state === 'live') state = 'frozen';
    },
    thaw() {
      if (state === 'frozen') state = 'live';
      child.kill('SIGCONT');
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      return exited;
    },
  };
}

/** Polled: nobody is told when a child is stopped. */
async function whenStopped(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  let isOver = false;
  void exited.then(() => {
    isOver = true;
  });
  while (!isOver && !isStopped(child.pid ?? 0)) await new Promise((resolve) => setTimeout(resolve, 20));
}

function isStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  } catch {
    return false;
  }
}
