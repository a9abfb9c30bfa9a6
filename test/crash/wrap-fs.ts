/**
 * Preloaded into an instance under test (`node --import`): every function of `node:fs/promises`, every synchronous one of
 * `node:fs` and every method of a file handle goes through here when it concerns a watched folder.
 *
 * - Each operation is noted in the journal before and after, so a kill can be placed at any of them, and what the code under
 *   test does is found out and not listed: a new operation is covered the day it is added.
 * - Nothing in `src/` knows of it.
 */

import fs from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { makeKind } from './kind.ts';
import { type Fault, type Line, type Plan, planVariable } from './plan.ts';

type Subject = Omit<Line, 'at' | 'pid' | 'n' | 'phase'>;
type Operation = (...args: unknown[]) => unknown;
/** Which file an open handle is of. */
type Opened = { path: string; inode: number };

const plan: Plan = JSON.parse(process.env[planVariable] ?? '{}');
const { openSync, writeSync, readFileSync, lstatSync, fstatSync, readlinkSync } = fs;
const journal = openSync(plan.journal, 'a');
const opened = new WeakMap<object, Opened>();
const seen = new Map<string, number>();
let operations = 0;

const handleMethods = [
  'write',
  'writev',
  'writeFile',
  'appendFile',
  'read',
  'readv',
  'readFile',
  'sync',
  'datasync',
].concat(['truncate', 'stat', 'chmod', 'chown', 'utimes']);
/** They return no promise. */
const iterators = ['watch', 'glob'];

// Whoever started it is gone, and would not stop it any more.
process.stdin
  .resume()
  .once('end', () => process.exit(1))
  .unref();

wrapHandles();
for (const name of Object.keys(promises)) if (!iterators.includes(name)) wrapByPath(promises, name);
for (const name of Object.keys(fs)) if (name.endsWith('Sync')) wrapByPath(fs, name);
syncBuiltinESMExports();

function wrapByPath(target: object, name: string): void {
  const original: unknown = Reflect.get(target, name);
  if (typeof original !== 'function') return;
  const call: Operation = (...args) => Reflect.apply(original, target, args);
  const wrapped: Operation = (...args) => {
    const subject = describe(name, args);
    if (subject === null) return call(...args);
    return name.endsWith('Sync') ? performSync(call, subject, args) : perform(call, subject, args);
  };
  Reflect.set(target, name, Object.assign(wrapped, original));
}

function wrapHandles(): void {
  const original = promises.open;
  let isWrapped = false;
  Reflect.set(promises, 'open', async (...args: Parameters<typeof original>) => {
    const handle = await original(...args);
    if (!isWrapped) for (const name of handleMethods) wrapMethod(Object.getPrototypeOf(handle), name);
    isWrapped = true;
    const [path] = args;
    if (typeof path !== 'string' || makeKind(plan.roots, path) === null) return handle;
    opened.set(handle, { path, inode: fstatSync(handle.fd).ino });
    // Not of the prototype, unlike the others.
    wrapMethod(handle, 'close');
    return handle;
  });
}

function wrapMethod(target: object, name: string): void {
  const original: unknown = Reflect.get(target, name);
  if (typeof original !== 'function') throw new Error(`a file handle has no method ${name}`);
  Reflect.set(target, name, function (this: object, ...args: unknown[]) {
    const file = opened.get(this);
    const call: Operation = (...given) => Reflect.apply(original, this, given);
    if (file === undefined) return call(...args);
    const where = makeKind(plan.roots, file.path);
    const subject = { kind: `${where?.root} ${name} ${where?.sort}`, name, ...file, ...extent(name, args) };
    return perform(call, subject, args);
  });
}

/** Null for what is not in a watched folder. */
function describe(name: string, args: unknown[]): Subject | null {
  const [path, to] = args;
  if (typeof path !== 'string') return null;
  const isPair = ['rename', 'link', 'copyFile', 'cp', 'symlink'].includes(name.replace('Sync', ''));
  const target = isPair && typeof to === 'string' ? to : null;
  const where = makeKind(plan.roots, path);
  const there = target === null ? null : makeKind(plan.roots, target);
  if (where === null && there === null) return null;
  const flags = /^open(Sync)?$/.test(name) ? ` ${typeof to === 'string' ? to : 'r'}` : '';
  const sorts = there === null ? where?.sort : `${where?.sort ?? 'outside'} -> ${there.sort}`;
  return {
    kind: `${(there ?? where)?.root} ${name}${flags} ${sorts}`,
    name: name.replace('Sync', ''),
    path,
    ...(target === null ? {} : { to: target }),
    isNew: !exists(target ?? path),
    ...(name === 'rename' && target !== null ? { replaced: linkAt(target) } : {}),
  };
}

function extent(name: string, [data, ...rest]: unknown[]): Partial<Subject> {
  const at = name === 'write' ? rest[2] : rest[0];
  const position = typeof at === 'number' && !/File$/.test(name) ? at : null;
  if (name === 'write') return { position, bytes: typeof rest[1] === 'number' ? rest[1] : sizeOf(data) };
  if (name === 'truncate') return { position: typeof data === 'number' ? data : 0 };
  return /^(writev|writeFile|appendFile)$/.test(name) ? { position, bytes: sizeOf(data) } : {};
}

function sizeOf(data: unknown): number {
  if (typeof data === 'string') return Buffer.byteLength(data);
  if (Array.isArray(data)) return data.reduce((sum: number, part) => sum + sizeOf(part), 0);
  return ArrayBuffer.isView(data) ? data.byteLength : 0;
}

async function perform(call: Operation, subject: Subject, args: unknown[]): Promise<unknown> {
  const { n, strike } = begin(subject);
  try {
    const half = strike?.phase === 'half' ? halve(subject.name, args) : null;
    if (half !== null) {
      await call(...half);
      hit(strike);
    }
    const result = plan.isLying && /sync$/.test(subject.name) ? undefined : await call(...args);
    end(n, { ...subject, ...inodeOf(subject, result) }, strike);
    return result;
  } catch (error) {
    end(n, { ...subject, code: codeOf(error) }, strike);
    throw error;
  }
}

function performSync(call: Operation, subject: Subject, args: unknown[]): unknown {
  const { n, strike } = begin(subject);
  try {
    const result = call(...args);
    end(n, subject, strike);
    return result;
  } catch (error) {
    end(n, { ...subject, code: codeOf(error) }, strike);
    throw error;
  }
}

/** Of the file that the operation has opened or written by its name. */
function inodeOf({ name, path, to }: Subject, result: unknown): Partial<Subject> {
  if (name === 'open' && result instanceof Object) return { inode: opened.get(result)?.inode ?? 0 };
  if (!/^(writeFile|appendFile|copyFile)$/.test(name)) return {};
  const found = lstatSync(to ?? path, { throwIfNoEntry: false });
  return found === undefined ? {} : { inode: found.ino };
}

type Strike = Plan['strike'];

function begin(subject: Subject): { n: number; strike: Strike } {
  operations += 1;
  const nth = (seen.get(subject.kind) ?? 0) + 1;
  seen.set(subject.kind, nth);
  const strike = plan.strike?.kind === subject.kind && plan.strike.nth === nth ? plan.strike : null;
  note({ ...subject, n: operations, phase: 'before' });
  if (strike?.phase === 'before') hit(strike);
  const code = injected(subject.kind);
  if (code !== null) {
    note({ ...subject, n: operations, phase: 'after', code });
    throw Object.assign(new Error(`${code}: made to fail, ${subject.name}`), { code, syscall: subject.name });
  }
  return { n: operations, strike };
}

function end(n: number, subject: Subject, strike: Strike): void {
  const isLie = plan.isLying && /sync$/.test(subject.name);
  note({ ...subject, n, phase: 'after', ...(isLie ? { code: 'LIE' } : {}) });
  if (strike?.phase === 'after' || strike?.phase === 'half') hit(strike);
}

function hit(strike: Strike): void {
  if (strike !== null) process.kill(process.pid, strike.by);
}

function note(line: Omit<Line, 'at' | 'pid'>): void {
  const whole: Line = { at: Number(process.hrtime.bigint()), pid: process.pid, ...line };
  writeSync(journal, `${JSON.stringify(whole)}\n`);
}

function halve(name: string, args: unknown[]): unknown[] | null {
  const [first, ...rest] = args;
  if (name === 'write' && ArrayBuffer.isView(first)) {
    const [offset, length, position] = rest;
    return [first, offset, Math.floor(Number(length) / 2), position];
  }
  if (name === 'writev' && Array.isArray(first)) {
    const part: unknown = first[0];
    return part instanceof Uint8Array ? [[part.subarray(0, part.length / 2)], ...rest] : null;
  }
  const at = typeof rest[0] === 'string' ? 1 : 0;
  const text = args[at];
  if (name !== 'writeFile' || typeof text !== 'string') return null;
  return args.with(at, text.slice(0, text.length / 2));
}

function injected(kind: string): string | null {
  try {
    const fault: Fault = JSON.parse(readFileSync(plan.faultFile, 'utf8'));
    return new RegExp(fault.match).test(kind) ? fault.code : null;
  } catch {
    return null;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function linkAt(path: string): string | null {
  return lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ? readlinkSync(path) : null;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
}
