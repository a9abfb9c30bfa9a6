/**
 * The environment of this process, moved to where only this process reads it.
 *
 * The kernel shows the strings that a program was started with in /proc/<pid>/environ, to every process of the same
 * user and for as long as the program runs; unsetting a variable leaves them there. So they are overwritten where they
 * stand, through /proc/self/mem.
 *
 * - What is not known to be harmless goes: a secret may be in a variable of any name.
 * - It never fails: where the strings cannot be overwritten, the answer says so.
 */

import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { resolve } from 'node:path';
import { codeOf } from './error-code.ts';

export type TakenEnvironment = {
  /** All of it, as it was. */
  env: NodeJS.ProcessEnv;
  /**
   * What /proc/<pid>/environ is now. `wiped`: nothing but harmless names. `closed`: as it was, but the kernel opens it to
   * no process of this user. `open`: as it was.
   */
  block: 'wiped' | 'closed' | 'open';
};

/** What Node, libuv and OpenSSL read later than at their start, and what the programs need that are started without an `env`. */
const kept = new Set([
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'PWD', 'TMPDIR', 'HOSTNAME', 'LD_LIBRARY_PATH', 'LD_PRELOAD'],
  ...['LANG', 'LANGUAGE', 'TZ', 'TZDIR', 'TERM', 'COLORTERM', 'NO_COLOR', 'FORCE_COLOR'],
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'OPENSSL_CONF', 'UV_THREADPOOL_SIZE', 'UV_USE_IO_URING'],
  // `fetch` reads it at each request. The proxies themselves are read at the start, and their URL can hold a password.
  ...['NO_PROXY', 'no_proxy'],
  // By name, since there is NODE_AUTH_TOKEN.
  ...['NODE_OPTIONS', 'NODE_ENV', 'NODE_PATH', 'NODE_DEBUG', 'NODE_NO_WARNINGS', 'NODE_DISABLE_COLORS'],
  ...['NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA', 'NODE_TLS_REJECT_UNAUTHORIZED', 'NODE_USE_ENV_PROXY'],
  ...['NODE_COMPILE_CACHE', 'NODE_COMPILE_CACHE_PORTABLE', 'NODE_DISABLE_COMPILE_CACHE', 'NODE_V8_COVERAGE'],
]);

/** Called before anything else reads `process.env`, which afterwards has the harmless names only. */
export function takeEnvironment(): TakenEnvironment {
  const env = { ...process.env };
  // The C library must not be left with pointers to strings that are not there any more.
  for (const name of Object.keys(env)) if (!isKept(name)) delete process.env[name];
  try {
    return { env, block: wipeBlock() };
  } catch {
    return { env, block: 'open' };
  }
}

/** The files that Node was told to take the environment from. Absolute paths. */
export function envFiles(): string[] {
  return process.execArgv.flatMap((arg, index) => {
    const option = /^--env-file(?:-if-exists)?(?:=(.+))?$/.exec(arg);
    const path = option?.[1] ?? (option === null ? undefined : process.execArgv[index + 1]);
    return path === undefined ? [] : [resolve(path)];
  });
}

/** The block with zeros in place of every entry that is not kept. */
export function blank(block: Buffer): Buffer {
  const blanked = Buffer.from(block);
  // Latin-1 takes every byte for a character: no two names become one, and places in the text are places in the block.
  const text = block.toString('latin1');
  for (let start = 0; start < text.length; ) {
    const zero = text.indexOf('\0', start);
    const end = zero === -1 ? text.length : zero;
    const equals = text.indexOf('=', start);
    if (equals === -1 || equals > end || !isKept(text.slice(start, equals))) blanked.fill(0, start, end);
    start = end + 1;
  }
  return blanked;
}

/** Where the block stands in memory: `env_start` and `env_end` of proc_pid_stat(5). Null where the kernel does not tell. */
export function readBlockBounds(stat: string): { start: number; end: number } | null {
  // The second field is the program's name in parentheses, with whatever spaces and parentheses it has.
  const fromThird = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [start, end] = [Number(fromThird[50 - 3]), Number(fromThird[51 - 3])];
  return Number.isSafeInteger(end) && start > 0 && start <= end ? { start, end } : null;
}

function isKept(name: string): boolean {
  return kept.has(name) || name.startsWith('LC_');
}

function wipeBlock(): TakenEnvironment['block'] {
  let shown: number;
  try {
    shown = openSync('/proc/self/environ', 'r');
  } catch (error) {
    // A process that may not be looked into may not look at this of itself either.
    return codeOf(error) === 'EACCES' ? 'closed' : 'open';
  }
  try {
    const bounds = readBlockBounds(readFileSync('/proc/self/stat', 'latin1'));
    return bounds !== null && overwrite(shown, bounds) ? 'wiped' : 'open';
  } finally {
    closeSync(shown);
  }
}

/** Whether what is shown is blank. Nothing is written to a place that does not hold what is shown. */
function overwrite(shown: number, { start, end }: { start: number; end: number }): boolean {
  const block = readAll(shown, 0, end - start);
  const blanked = blank(block);
  const memory = openSync('/proc/self/mem', 'r+');
  try {
    if (!readAll(memory, start, end - start).equals(block)) return false;
    for (let done = 0; done < blanked.length; )
      done += writeSync(memory, blanked, done, blanked.length - done, start + done);
  } finally {
    closeSync(memory);
  }
  return readAll(shown, 0, end - start).equals(blanked);
}

function readAll(file: number, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const count = readSync(file, bytes, done, length - done, from + done);
    if (count === 0) throw new Error('it ends too soon');
    done += count;
  }
  return bytes;
}
