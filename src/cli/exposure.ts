/**
 * How a process that the agent starts could still reach the server's secrets: looked at by trying, not by reasoning.
 *
 * The attempts are made by a child with the same user and the same command line in front as the agent's processes, so that
 * whatever protects the server here (a sandbox's rest, Landlock, Yama, a program of mode 0711) is counted, and nothing else.
 * No secret is given to that child: it hands over what it could read, and the search is here. A finding never has a value.
 */

import { execFile } from 'node:child_process';
import { access, constants, readdir, readFile, realpath, stat } from 'node:fs/promises';
import { url as debuggerUrl } from 'node:inspector';
import { getCompileCacheDir } from 'node:module';
import { dirname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../lib/error-code.ts';
import { envFiles } from '../lib/own-environment.ts';
import { isDebuggerRefused } from './own-process.ts';

export type Exposure = {
  way: 'debugger' | 'root' | 'environment' | 'memory' | 'core_dump' | 'command_line' | 'file' | 'program' | 'unchecked';
  /** For the log: what is exposed, and what to do about it. */
  sentence: string;
};

export type ExposureInput = {
  secrets: string[];
  /** The agent sees neither the server's processes nor its files. */
  sandboxed: boolean;
  /** The command line in front of the agent's process. */
  prefix: string[];
};

/** Empty when the agent can reach none of the secrets in a way that is known here. */
export async function findExposures({ secrets, sandboxed, prefix }: ExposureInput): Promise<Exposure[]> {
  // A sandbox has the host's network, but sends no signals out.
  const found = [debuggerExposure({ canSignal: !sandboxed })];
  if (!sandboxed) {
    if (process.platform !== 'linux') found.push(otherSystem());
    else if (process.getuid?.() === 0) found.push(root());
    else found.push(...(await tryAll(secrets, prefix)));
  }
  return found.filter((exposure) => exposure !== null);
}

/** The values that are secrets by their variable's name, or by the password in a URL. */
export function secretValues(env: NodeJS.ProcessEnv): string[] {
  return Object.entries(env).flatMap(([name, value = '']) => {
    const named = /(^|_)((API)?KEYS?|TOKENS?|SECRETS?|PASSWORD|PASSWD|PASS|PAT|CREDENTIALS?)(_|$)/i.test(name);
    const isSecret = (named && !value.startsWith('/')) || /:\/\/[^/\s:@]*:[^/\s@]+@/.test(value);
    return isSecret && value.length >= minSecretCharacters ? [value] : [];
  });
}

/** A shorter text is found by chance in what is no secret. */
const minSecretCharacters = 8;

async function tryAll(secrets: string[], prefix: string[]): Promise<(Exposure | null)[]> {
  const wanted = secrets
    .filter((secret) => secret.length >= minSecretCharacters)
    // An environment need not be UTF-8: bytes are compared, each as a character.
    .map((secret) => Buffer.from(secret).toString('latin1'));
  const hasSecret = (text: string) => wanted.some((secret) => text.includes(secret));
  const attempt = await attemptReads(prefix);
  return [
    ...('failed' in attempt
      ? [unchecked(attempt.failed)]
      : [
          await environments([...attempt.environments].filter(([, text]) => hasSecret(text)).map(([pid]) => pid)),
          attempt.memoryOpens ? memory() : null,
        ]),
    await coreDump(),
    await commandLines(hasSecret),
    await settingsFiles(hasSecret),
    await nextStart(),
  ];
}

type Attempt = { memoryOpens: boolean; environments: Map<number, string> } | { failed: string };

/** Prints `open` or nothing, a line end, and each environment under a heading of its own. */
const script = `
if (: < "/proc/$1/mem") 2>/dev/null; then echo open; else echo; fi
head -v -c 8388608 /proc/[0-9]*/environ 2>/dev/null
exit 0
`;

const heading = /(?:^|\n)==> \/proc\/(\d+)\/environ <==\n/;

const attemptMs = 10_000;
const maxAttemptBytes = 64 * 1_048_576;

async function attemptReads(prefix: string[]): Promise<Attempt> {
  const [command = 'sh', ...args] = [...prefix, 'sh', '-c', script, 'sh', String(process.pid)];
  const options = {
    env: { PATH: process.env.PATH },
    encoding: 'latin1',
    timeout: attemptMs,
    maxBuffer: maxAttemptBytes,
  } as const;
  try {
    const { stdout } = await promisify(execFile)(command, args, options);
    const firstLineEnd = stdout.indexOf('\n');
    // With a group in the expression, `split` gives what it matched as well: pid, text, pid, text.
    const [, ...parts] = stdout.slice(firstLineEnd).split(heading);
    const environments = new Map<number, string>();
    for (let index = 0; index + 1 < parts.length; index += 2)
      environments.set(Number(parts[index]), parts[index + 1] ?? '');
    return { memoryOpens: stdout.startsWith('open'), environments };
  } catch (error) {
    return { failed: whyFailed(error) };
  }
}

function whyFailed(error: unknown): string {
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  return (said || messageOf(error)).slice(0, 300);
}

async function environments(pids: number[]): Promise<Exposure | null> {
  if (pids.length === 0) return null;
  const others = pids.filter((pid) => pid !== process.pid);
  const where = [
    ...(others.length < pids.length
      ? [`of this process (pid ${process.pid}), where they could not be overwritten`]
      : []),
    ...(others.length > 0 ? [`of ${await nameAll(others)}`] : []),
  ];
  return {
    way: 'environment',
    sentence:
      `the agent can read secrets in the environment ${where.join(', and ')}: start the server without npm, from a shell with ` +
      '`exec`, a container without `--init` and with the entrypoint of the image; or give the secrets to the server alone',
  };
}

function memory(): Exposure {
  return {
    way: 'memory',
    sentence:
      'the agent can read the memory of the server, and in it every secret: use the image, whose programs cannot be looked into; ' +
      'or allow a sandbox; or use a setpriv of util-linux 2.41; or set the sysctl kernel.yama.ptrace_scope to 1',
  };
}

/** A process that may not be looked into belongs to root in /proc, and leaves no core file. */
async function coreDump(): Promise<Exposure | null> {
  const owner = await stat('/proc/self/environ').catch(() => null);
  const limits = await readFile('/proc/self/limits', 'latin1').catch(() => '');
  const hardLimit = /^Max core file size\s+\S+\s+(\S+)/m.exec(limits)?.[1] ?? '0';
  if (owner?.uid !== process.geteuid?.() || hardLimit === '0') return null;
  return {
    way: 'core_dump',
    sentence:
      'the agent can crash the server, which then leaves its memory, and in it every secret, in a core file: start it after ' +
      '`ulimit -c 0` (a container with `--ulimit core=0`), or install util-linux, with whose prlimit it does that itself',
  };
}

/** Everybody on the machine may read those. */
async function commandLines(hasSecret: (text: string) => boolean): Promise<Exposure | null> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const isExposed = async (pid: number) => hasSecret(await readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => ''));
  const exposed = await Promise.all(pids.map(async (pid) => ((await isExposed(pid)) ? [pid] : [])));
  if (exposed.flat().length === 0) return null;
  return {
    way: 'command_line',
    sentence: `everybody on this machine can read secrets in the command line of ${await nameAll(exposed.flat())}: give them as environment variables`,
  };
}

/** Files of the kind that a start takes its settings from, and that this user may read. */
async function settingsFiles(hasSecret: (text: string) => boolean): Promise<Exposure | null> {
  for (const path of new Set([resolve('.env'), ...envFiles()]))
    if (hasSecret(await readFile(path, 'latin1').catch(() => '')))
      return {
        way: 'file',
        sentence: `the agent can read secrets in ${path}: allow a sandbox, or give them as environment variables and remove the file`,
      };
  return null;
}

/** What the agent can change, the next start runs, with the secrets in its environment. Node takes a compile cache at its word. */
async function nextStart(): Promise<Exposure | null> {
  const program = await realpath(process.argv[1] ?? process.execPath).catch(() => process.execPath);
  const places = [program, dirname(program), process.execPath, getCompileCacheDir() ?? null];
  const canWrite = (path: string) =>
    access(path, constants.W_OK).then(
      () => true,
      () => false,
    );
  const writable = await Promise.all(
    places.map(async (path) => (path !== null && (await canWrite(path)) ? [path] : [])),
  );
  if (writable.flat().length === 0) return null;
  return {
    way: 'program',
    sentence:
      `the agent can change what the next start of the server runs (${writable.flat().join(', ')}): give it to another user, ` +
      'as in the image, and set NODE_DISABLE_COMPILE_CACHE=1 or NODE_COMPILE_CACHE to a folder of that user; or allow a sandbox',
  };
}

function debuggerExposure({ canSignal }: { canSignal: boolean }): Exposure | null {
  if (debuggerUrl() !== undefined)
    return {
      way: 'debugger',
      sentence:
        "Node's debugger is open, and the agent can read every secret with it: start the server without --inspect",
    };
  if (!canSignal || isDebuggerRefused()) return null;
  return {
    way: 'debugger',
    sentence:
      "the agent can open Node's debugger with SIGUSR1, and read every secret: start node with --disable-sigusr1",
  };
}

function root(): Exposure {
  return {
    way: 'root',
    sentence:
      'the server runs as root and the agent without a sandbox: it can reach every secret; give the server a user of its own, or allow a sandbox',
  };
}

function otherSystem(): Exposure {
  return {
    way: 'environment',
    sentence: `on ${process.platform} the agent can read the secrets in the environment of the server (ps -E): for development only; serve from Linux`,
  };
}

function unchecked(reason: string): Exposure {
  return {
    way: 'unchecked',
    sentence: `whether the agent can reach the secrets of the server could not be found out (${reason})`,
  };
}

const maxNamed = 3;

async function nameAll(pids: number[]): Promise<string> {
  const names = await Promise.all(pids.slice(0, maxNamed).map(async (pid) => `${await nameOf(pid)} (pid ${pid})`));
  const more = pids.length - names.length;
  return [...names, ...(more > 0 ? [`${more} more`] : [])].join(', ');
}

/** Node calls its main thread so. */
async function nameOf(pid: number): Promise<string> {
  const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'a process that is gone')).trim();
  return name === 'MainThread' ? 'node' : name;
}
