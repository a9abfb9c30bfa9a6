/**
 * The machine of one instance of a function: the program of the image on it, and all of its processes at once.
 *
 * Where bubblewrap works it is like that of AWS Lambda: the root is read-only, the user is not root and may make no namespaces,
 * `/tmp` is its own and empty, the volume is under `/mnt`. Elsewhere the folders are used as they are.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { z } from 'zod';
import { liveProcesses } from './processes.ts';
import { until } from './until.ts';

const root = join(import.meta.dirname, '../..');

export type MachineInput = {
  /** Has `dist/` and `built-in-skills/`. */
  app: string;
  tmp: string;
  volume: string;
  env: Record<string, string>;
};

export type Machine = {
  stdout: Readable;
  stderr: Readable;
  /** The exit code of the server; 128 and the number of the signal that ended it. */
  exited: Promise<number>;
  /** The names of its processes, once for each. */
  processes(): string[];
  /** To the server's process. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when none of its processes runs on. */
  freeze(): Promise<void>;
  thaw(): void;
  /** All of it at once. Resolves when nothing is left. */
  cut(): Promise<void>;
};

export async function startMachine(input: MachineInput): Promise<Machine> {
  const { child, pid, pids } = hasNamespaces() ? await startOfItsOwn(input) : startOnThisOne(input);
  const exited = new Promise<number>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
  const send = (signal: NodeJS.Signals, to: number[]) => {
    for (const each of to) tryKill(each, signal);
  };
  return {
    stdout: readable(child.stdout),
    stderr: readable(child.stderr),
    exited,
    processes: () => pids().map(nameOf),
    signal: (signal) => send(signal, [pid]),
    freeze: async () => {
      // First, and at once: it is its next step that must not come.
      send('SIGSTOP', [pid]);
      await until('all is frozen', () => {
        const running = pids().filter((each) => stateOf(each) !== 'T');
        send('SIGSTOP', running);
        return running.length === 0;
      });
    },
    thaw: () => send('SIGCONT', pids()),
    cut: async () => {
      await until('nothing is left', () => {
        const left = pids();
        send('SIGKILL', left);
        return left.length === 0;
      });
      await exited;
    },
  };
}

type Started = { child: ChildProcess; pid: number; pids: () => number[] };

/** What of bubblewrap makes its user an ordinary one. */
const closed = ['--unshare-user', '--disable-userns', '--uid', '1000', '--gid', '1000'];

function hasNamespaces(): boolean {
  return spawnSync('bwrap', [...closed, '--ro-bind', '/', '/', 'true'], { stdio: 'ignore' }).status === 0;
}

async function startOfItsOwn({ app, tmp, volume, env }: MachineInput): Promise<Started> {
  const readOnly = (from: string, to = from) => (existsSync(from) ? ['--ro-bind', from, to] : []);
  const args = [
    ...['/usr', '/bin', '/sbin', '/lib', '/lib64', '/etc'].flatMap((path) => readOnly(path)),
    ...readOnly(process.execPath, '/app/bin/node'),
    ...['dist', 'built-in-skills'].flatMap((name) => readOnly(join(app, name), `/app/${name}`)),
    ...readOnly(join(root, 'node_modules'), '/app/node_modules'),
    ...['--bind', '/proc', '/proc', '--dev', '/dev', '--bind', tmp, '/tmp', '--bind', volume, '/mnt/agent'],
    ...['--remount-ro', '/', '--chdir', '/app', '--die-with-parent', '--info-fd', '3', ...closed],
    ...['--', '/app/bin/node', ...programArgs('/app')],
  ];
  const child = spawn('bwrap', args, {
    env: { ...env, STORE_DIR: '/mnt/agent/store', MEMORY_DIR: '/mnt/agent/memory' },
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const started = z
    .object({ 'child-pid': z.int(), 'mnt-namespace': z.int() })
    .parse(JSON.parse(await text(readable(child.stdio[3]))));
  const namespace = `mnt:[${started['mnt-namespace']}]`;
  return {
    child,
    pid: started['child-pid'],
    // Whatever they are called, and whoever their parent is by now.
    pids: () => allPids().filter((pid) => namespaceOf(pid) === namespace && stateOf(pid) !== 'Z'),
  };
}

function startOnThisOne({ app, tmp, volume, env }: MachineInput): Started {
  const child = spawn(process.execPath, programArgs(app), {
    cwd: app,
    env: {
      ...env,
      TMPDIR: tmp,
      LOCAL_DB_PATH: join(tmp, 'messages.db'),
      STORE_DIR: join(volume, 'store'),
      MEMORY_DIR: join(volume, 'memory'),
      SANDBOX: 'off',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const pid = child.pid ?? 0;
  const isLive = (each: number) => !['', 'Z'].includes(stateOf(each));
  return { child, pid, pids: () => [...new Set([pid, ...liveProcesses(volume)])].filter(isLive) };
}

/** What the image starts, less its init. */
function programArgs(app: string): string[] {
  const line = /\/app\/bin\/node (.+) "\$@"$/m.exec(readFileSync(join(root, 'entrypoint.sh'), 'utf8'))?.[1];
  if (line === undefined) throw new Error('entrypoint.sh does not start the server as it did');
  return line.replaceAll('/app/', `${app}/`).split(' ');
}

function readable(stream: unknown): Readable {
  if (stream instanceof Readable) return stream;
  throw new Error('a process was started without a pipe');
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
}

function namespaceOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return '';
  }
}

function nameOf(pid: number): string {
  return read(`/proc/${pid}/comm`).trim();
}

/** `T`: stopped; `Z`: ended; empty: gone. */
function stateOf(pid: number): string {
  const stat = read(`/proc/${pid}/stat`);
  return stat.charAt(stat.lastIndexOf(')') + 2);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function tryKill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone.
  }
}
