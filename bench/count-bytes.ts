/**
 * Counts what this process writes into files under one folder, through `node:fs/promises`, by the name of the file. To be
 * called before what writes there is imported. A hard link writes nothing.
 */

import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { basename } from 'node:path';

export type ByteCount = {
  /** From here on, files under `dir`. */
  begin(dir: string): void;
  byName(): Record<string, number>;
};

export async function countBytes(): Promise<ByteCount> {
  let dir: string | null = null;
  let bytes: Record<string, number> = {};
  const paths = new WeakMap<FileHandle, string>();
  const add = (path: string, count: number) => {
    if (dir !== null && path.startsWith(dir)) bytes[basename(path)] = (bytes[basename(path)] ?? 0) + count;
  };

  const { open, writeFile, copyFile, stat } = fs;
  fs.open = async (path, ...rest) => {
    const file = await open(path, ...rest);
    paths.set(file, String(path));
    return file;
  };
  fs.writeFile = async (path, data, ...rest) => {
    await writeFile(path, data, ...rest);
    if (typeof data === 'string') add(String(path), Buffer.byteLength(data));
  };
  fs.copyFile = async (from, to, ...rest) => {
    await copyFile(from, to, ...rest);
    add(String(to), (await stat(to)).size);
  };
  syncBuiltinESMExports();

  const sample = await open('/dev/null', 'r');
  const handles: FileHandle = Object.getPrototypeOf(sample);
  await sample.close();
  for (const name of ['write', 'writev'] as const) {
    const original = handles[name];
    Object.defineProperty(handles, name, {
      value: async function count(this: FileHandle, ...args: never[]) {
        const result = await Reflect.apply(original, this, args);
        add(paths.get(this) ?? '', result.bytesWritten);
        return result;
      },
    });
  }
  return {
    begin: (path) => {
      dir = path;
      bytes = {};
    },
    byName: () => bytes,
  };
}
