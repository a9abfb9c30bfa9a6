/**
 * What a process of the server's own user, without a sandbox, gets of the secrets in it: nothing where it is closed.
 *
 * Each arrangement is attacked for real, and the one without any protection shows that the attacks work. As root everything
 * runs as another user, since root may read all.
 */

import { type ChildProcessWithoutNullStreams, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, constants as fs, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { canUseLandlock, landlockOptions } from '../../src/agent/landlock.ts';
import type { Exposure } from '../../src/cli/exposure.ts';
import { sharedFolder } from '../support/temporary-folder.ts';

const isLinux = process.platform === 'linux';
const isRoot = process.getuid?.() === 0;
const userId = isRoot ? 10_001 : (process.getuid?.() ?? 0);

/** The second exec is without root's right to read every file, by which the kernel would take a closed program for an open one. */
const asUser = isRoot
  ? ['setpriv', '--reuid', String(userId), '--regid', String(userId), '--clear-groups', 'sh', '-c', 'exec "$@"', 'sh']
  : [];

const yamaScope = textOf('/proc/sys/kernel/yama/ptrace_scope') ?? '0';
/** Where the kernel hands core files to a program, they are not in the folder of the process. */
const leavesCoreFiles = /^[^|/]+$/.test(textOf('/proc/sys/kernel/core_pattern') ?? '|');
const landlock = isLinux && (await canUseLandlock());

type Attack = 'environment' | 'memory' | 'command_line' | 'debugger' | 'core_dump';

type Arrangement = {
  title: string;
  skip?: boolean;
  mode: 'plain' | 'guarded';
  program: 'open' | 'closed';
  /** In front of whoever attacks. */
  prefix: string[];
  /** The attacks that get the secret, which are those that the server itself finds. */
  exposed: Attack[];
};

const memoryIfUnguarded: Attack[] = yamaScope === '0' ? ['memory'] : [];
const coreIfUnguarded: Attack[] = /^Max core file size\s+\S+\s+0/m.test(textOf('/proc/self/limits') ?? '')
  ? []
  : ['core_dump'];

const arrangements: Arrangement[] = [
  {
    title: 'without any protection',
    mode: 'plain',
    program: 'open',
    prefix: [],
    exposed: ['debugger', 'environment', ...memoryIfUnguarded, ...coreIfUnguarded],
  },
  {
    title: 'guarded by itself',
    mode: 'guarded',
    program: 'open',
    prefix: [],
    exposed: memoryIfUnguarded,
  },
  { title: 'run by a program that may not be read', mode: 'guarded', program: 'closed', prefix: [], exposed: [] },
  {
    title: 'guarded by itself, attacked from a Landlock domain (needs setpriv of util-linux 2.41)',
    skip: !landlock,
    mode: 'guarded',
    program: 'open',
    prefix: ['setpriv', ...landlockOptions, '--'],
    exposed: [],
  },
];

const dir = sharedFolder();
const programDir = join(dir, 'programs');
const programs = { open: join(programDir, 'node'), closed: join(programDir, 'node-closed') };
const [holder, thief] = [join(programDir, 'secret-holder.js'), join(programDir, 'secret-thief.js')];

// The user may be another than the one that can read the sources and this Node.
beforeAll(async () => {
  chmodSync(dir, 0o755);
  await build({
    entryPoints: ['test/support/secret-holder.ts', 'test/support/secret-thief.ts'],
    outdir: programDir,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
  });
  for (const path of Object.values(programs)) copyFileSync(process.execPath, path, fs.COPYFILE_FICLONE);
  // Without root the files belong to this user, who may change none of them here, and not read the closed program.
  for (const path of [holder, thief]) chmodSync(path, 0o444);
  chmodSync(programs.open, 0o555);
  chmodSync(programs.closed, 0o111);
  chmodSync(programDir, 0o555);
});

afterAll(() => chmodSync(programDir, 0o755));

describe.skipIf(!isLinux).each(arrangements)('a server $title', ({ skip = false, mode, program, prefix, exposed }) => {
  const start = () => startHolder({ mode, node: programs[program], prefix });
  const isExposed = (attack: Attack) => exposed.includes(attack);

  it.skipIf(skip)('gives away its secret to no attack but those that are expected to get it', async () => {
    await using server = await start();
    for (const attack of ['environment', 'memory', 'command_line'] as const)
      expect([attack, await steals(attack, server, prefix)]).toEqual([attack, isExposed(attack)]);
  });

  it.skipIf(skip)('opens its debugger to nobody, unless that is expected', async () => {
    await using server = await start();
    execFileSync(...commandLine(['sh', '-c', 'kill -USR1 "$1"', 'sh', String(server.pid)], prefix));
    await (isExposed('debugger') ? server.debuggerOpened() : server.refused());
    expect(await steals('debugger', server, prefix)).toBe(isExposed('debugger'));
  });

  it.skipIf(skip || !leavesCoreFiles)('leaves no core file when it is crashed, unless that is expected', async () => {
    await using server = await start();
    // What it may not do is tried all the same.
    await steals('core_dump', server, prefix);
    execFileSync(...commandLine(['sh', '-c', 'kill -ABRT "$1"', 'sh', String(server.pid)], prefix));
    await server.ended;
    const cores = readdirSync(server.dir).filter((name) => name.startsWith('core'));
    const holding = cores.filter((name) => execFileSync('grep', ['-c', server.secret, join(server.dir, name)]));
    expect(holding).toHaveLength(isExposed('core_dump') ? 1 : 0);
  });

  it.skipIf(skip)('finds out by itself which attacks work', async () => {
    await using server = await start();
    const exposures = await server.findExposures();
    expect(exposures.map(({ way }) => way)).toEqual(exposed);
    expect(JSON.stringify(exposures)).not.toContain(server.secret);
  });
});

describe.skipIf(!isLinux)('what the server finds out', () => {
  it('names the process that started it and still has the secret', async () => {
    await using server = await startHolder({
      mode: 'guarded',
      node: programs.closed,
      prefix: [],
      // No `exec`: the shell stays.
      starter: ['sh', '-c', '"$@"; exit', 'sh'],
    });
    expect(await steals('environment', server)).toBe(true);
    const [exposure, ...more] = await server.findExposures();
    expect(more).toEqual([]);
    expect(exposure?.way).toBe('environment');
    expect(exposure?.sentence).toMatch(/ in the environment of sh \(pid \d+\): /);
  });

  it('tells of a secret in a command line', async () => {
    await using server = await startHolder({
      mode: 'guarded',
      node: programs.closed,
      prefix: [],
      flags: ['--conditions=SECRET'],
    });
    expect(await steals('command_line', server)).toBe(true);
    expect((await server.findExposures()).map(({ way }) => way)).toEqual(['command_line']);
  });

  it('tells of a program that can be changed for the next start', async () => {
    const script = join(userFolder(), 'server.js');
    copyFileSync(holder, script);
    await using server = await startHolder({ mode: 'guarded', node: programs.closed, prefix: [], script });
    const [exposure, ...more] = await server.findExposures();
    expect(more).toEqual([]);
    expect(exposure).toMatchObject({ way: 'program', sentence: expect.stringContaining(dirname(script)) });
  });

  it('says so where it cannot try', async () => {
    await using server = await startHolder({ mode: 'guarded', node: programs.closed, prefix: ['/no/such/sandbox'] });
    const [exposure] = await server.findExposures();
    expect(exposure?.way).toBe('unchecked');
    expect(exposure?.sentence).toContain('/no/such/sandbox');
  });
});

describe.skipIf(!isLinux)('a server that may not be looked into', () => {
  it('leaves its environment as it is, since nobody else can read it', async () => {
    await using closed = await startHolder({ mode: 'guarded', node: programs.closed, prefix: [] });
    await using open = await startHolder({ mode: 'guarded', node: programs.open, prefix: [] });
    expect([closed.block, open.block]).toEqual(['closed', 'wiped']);
  });
});

type Holder = AsyncDisposable & {
  pid: number;
  secret: string;
  block: string | null;
  /** Its working directory, where it may leave files. */
  dir: string;
  findExposures(): Promise<Exposure[]>;
  refused(): Promise<string>;
  debuggerOpened(): Promise<string>;
  ended: Promise<unknown>;
};

type HolderInput = {
  mode: 'plain' | 'guarded';
  node: string;
  prefix: string[];
  starter?: string[];
  /** Of Node. SECRET stands for the secret. */
  flags?: string[];
  script?: string;
};

/** A folder that the user may write. */
function userFolder(): string {
  const folder = mkdtempSync(join(dir, 'user-'));
  if (isRoot) chownSync(folder, userId, userId);
  return folder;
}

async function startHolder(input: HolderInput): Promise<Holder> {
  const { mode, node, prefix, starter = [], flags = [], script = holder } = input;
  const secret = `holder-secret-${randomBytes(16).toString('hex')}`;
  const cwd = userFolder();
  const nodeFlags = ['--inspect-port=0', ...flags.map((flag) => flag.replace('SECRET', secret))];
  const [command = node, ...args] = [...asUser, ...starter, node, ...nodeFlags, script, mode, ...prefix];
  const env = { PATH: process.env.PATH, HOLDER_TOKEN: secret };
  const child = spawn(command, args, { cwd, env, stdio: 'pipe', detached: true });
  const ended = once(child, 'exit');
  const printed = readLines(child);
  const { pid, block } = z
    .object({ pid: z.number(), block: z.string().nullable() })
    .parse(JSON.parse(await printed('"pid"')));
  return {
    pid,
    secret,
    block,
    dir: cwd,
    async findExposures() {
      child.stdin.write('\n');
      const line = await printed('"exposures"');
      return z.object({ exposures: z.array(z.custom<Exposure>()) }).parse(JSON.parse(line)).exposures;
    },
    refused: () => printed('"refused"'),
    debuggerOpened: () => printed('Debugger listening on ws://'),
    ended,
    async [Symbol.asyncDispose]() {
      // Its group, in which is the shell that may have started it.
      if (child.exitCode === null && child.signalCode === null) process.kill(-(child.pid ?? 0), 'SIGKILL');
      await ended;
    },
  };
}

/** Waits for a line, printed or to be printed, that has the text in it. */
function readLines(child: ChildProcessWithoutNullStreams): (text: string) => Promise<string> {
  const lines: string[] = [];
  const changed = new EventEmitter();
  const closed = once(child, 'close').then(() => changed.emit('line'));
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', (line) => {
      lines.push(line);
      changed.emit('line');
    });
  return async (text) => {
    let isClosed = false;
    void closed.then(() => {
      isClosed = true;
    });
    for (;;) {
      const line = lines.find((one) => one.includes(text));
      if (line !== undefined) return line;
      if (isClosed) throw new Error(`the process ended without ${text}:\n${lines.join('\n')}`);
      await once(changed, 'line');
    }
  };
}

/** Whether the attack gets the secret. */
async function steals(attack: Attack, { pid, secret }: Holder, prefix: string[] = []): Promise<boolean> {
  const [command, args, options] = commandLine([programs.open, thief, attack, String(pid)], prefix);
  // What is refused ends the thief with an error, and is no loot.
  const { stdout } = await promisify(execFile)(command, args, options).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  return stdout.split('\n').includes(secret);
}

function commandLine(command: string[], prefix: string[]): [string, string[], { env: NodeJS.ProcessEnv }] {
  const [first = '', ...rest] = [...asUser, ...prefix, ...command];
  return [first, rest, { env: { PATH: process.env.PATH } }];
}

function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}
