/**
 * The file operations of this process under one folder: counted, held, or made to fail, from outside the code that does them.
 *
 * Those of `node:fs/promises` are replaced in place, for everybody who imports them, and so are the methods of the handles
 * that are opened meanwhile. Everything is as before when the test has finished.
 */

import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { resolve, sep } from 'node:path';
import { onTestFinished } from 'vitest';

const functions = [
  'copyFile',
  'link',
  'lstat',
  'mkdir',
  'open',
  'readFile',
  'readdir',
  'rename',
  'rm',
  'stat',
  'symlink',
  'writeFile',
] as const;

/** `close` is not among them: what fails there was done before. */
const methods = ['datasync', 'read', 'readFile', 'stat', 'sync', 'truncate', 'write', 'writeFile', 'writev'] as const;

export type Operation = {
  name: (typeof functions)[number] | `handle.${(typeof methods)[number]}`;
  /** Of two paths the second, which is the one that comes to be; of `symlink` the link. */
  path: string;
};

export type Matcher = (operation: Operation) => boolean;

const changing = new Set<string>([
  'copyFile',
  'link',
  'mkdir',
  'rename',
  'rm',
  'symlink',
  'writeFile',
  'handle.datasync',
  'handle.sync',
  'handle.truncate',
  'handle.write',
  'handle.writeFile',
  'handle.writev',
]);

/** What changes the volume, or makes a change last. A file that `open` creates is empty; what fills it is counted. */
export function isChange({ name }: Operation): boolean {
  return changing.has(name);
}

const errnos: Record<string, number> = { EPERM: -1, EIO: -5, EROFS: -30, ENOSPC: -28, ENOENT: -2, ESTALE: -116 };

export function makeFsError(code: string, { name, path }: Operation): Error {
  // ESTALE has no name in Node.
  const shown = code === 'ESTALE' ? 'Unknown system error -116' : code;
  const error = new Error(`${shown}: made up by the test, ${name} '${path}'`);
  return Object.assign(error, { code: shown, errno: errnos[code], syscall: name, path });
}

export type FsFaults = {
  /** All there were since the beginning, or since they were taken. */
  take(): Operation[];
  /** `when: 'after'`: it is done, and the answer is lost. Ends with the function that is returned. */
  fail(code: string, matches: Matcher, when?: 'before' | 'after'): () => void;
  /** The first that matches waits until it is let go. */
  hold(matches: Matcher, when?: 'before' | 'after'): { reached: Promise<void>; release(): void };
  /** A write that matches does a part of what it was asked to, and says so. Ends with the function that is returned. */
  cutShort(matches: Matcher): () => void;
  /** Of the handles that are not closed. */
  openPaths(): string[];
  /** Called before each operation; what it throws is how the operation ends. */
  before(listener: (operation: Operation) => void): () => void;
};

type Hook = (operation: Operation) => Promise<void> | void;
type Untyped = (...args: unknown[]) => unknown;

/**
 * For one test; called in it before anything opens a file. `withoutFlushes`: they are counted, held and made to fail, but not
 * done, which takes most of the time and shows in a power cut alone.
 */
export function watchFs(folder: string, { withoutFlushes = false } = {}): FsFaults {
  const root = resolve(folder);
  const skipped = withoutFlushes ? ['sync', 'datasync'] : [];
  const hooks = { before: new Set<Hook>(), after: new Set<Hook>() };
  const operations: Operation[] = [];
  const open = new Map<object, string>();
  const short = new Set<Matcher>();

  const isInside = (path: unknown): path is string =>
    typeof path === 'string' && (resolve(path) === root || resolve(path).startsWith(root + sep));

  const run = async (operation: Operation, work: () => unknown): Promise<unknown> => {
    operations.push(operation);
    for (const hook of [...hooks.before]) await hook(operation);
    const result = await work();
    for (const hook of [...hooks.after]) await hook(operation);
    return result;
  };

  const wrapHandle = (handle: object, path: string): void => {
    open.set(handle, path);
    const close: Untyped = Reflect.get(handle, 'close');
    const closed = async () => {
      open.delete(handle);
      return close.apply(handle);
    };
    Object.defineProperty(handle, 'close', { value: closed, configurable: true });
    for (const method of methods) {
      const original: Untyped = Reflect.get(handle, method);
      const operation: Operation = { name: `handle.${method}`, path };
      const wrapped = (...args: unknown[]) =>
        run(operation, () => {
          if (skipped.includes(method)) return undefined;
          const isShort = [...short].some((matches) => matches(operation));
          return original.apply(handle, isShort ? cut(args) : args);
        });
      Object.defineProperty(handle, method, { value: wrapped, configurable: true });
    }
  };

  const module: object = promises;
  const originals = new Map<string, Untyped>(functions.map((name) => [name, Reflect.get(module, name)]));
  for (const name of functions) {
    const original: Untyped = Reflect.get(module, name);
    const wrapped = async (...args: unknown[]): Promise<unknown> => {
      const isOfTwo = ['copyFile', 'link', 'rename', 'symlink'].includes(name);
      const path = isOfTwo ? args[1] : args[0];
      if (!isInside(path)) return original(...args);
      const result = await run({ name, path }, () => original(...args));
      if (name === 'open' && result instanceof Object) wrapHandle(result, path);
      return result;
    };
    Object.assign(promises, { [name]: wrapped });
  }
  syncBuiltinESMExports();
  onTestFinished(() => {
    for (const [name, original] of originals) Object.assign(promises, { [name]: original });
    hooks.before.clear();
    hooks.after.clear();
    syncBuiltinESMExports();
  });

  const add = (when: 'before' | 'after', hook: Hook): (() => void) => {
    hooks[when].add(hook);
    return () => void hooks[when].delete(hook);
  };
  return {
    take: () => operations.splice(0),
    cutShort: (matches) => {
      short.add(matches);
      return () => void short.delete(matches);
    },
    openPaths: () => [...open.values()],
    fail: (code, matches, when = 'before') =>
      add(when, (operation) => {
        if (matches(operation)) throw makeFsError(code, operation);
      }),
    hold: (matches, when = 'before') => {
      const [reached, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      // A test that fails lets go of what it held before it ends what waits for that.
      onTestFinished(() => released.resolve());
      const remove = add(when, async (operation) => {
        if (!matches(operation)) return;
        remove();
        reached.resolve();
        await released.promise;
      });
      return { reached: reached.promise, release: released.resolve };
    },
    before: (listener) => add('before', listener),
  };
}

const shortBytes = 1000;

/** The arguments of a handle's `write`: the buffer, the offset in it, the length, the position. */
function cut([buffer, offset, length, ...rest]: unknown[]): unknown[] {
  return [buffer, offset, typeof length === 'number' ? Math.min(length, shortBytes) : length, ...rest];
}
