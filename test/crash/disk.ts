/**
 * What a power cut may take from a volume: whatever was written and not flushed, by the journals of all that wrote there.
 *
 * - A byte is safe once a flush of its file has succeeded that began after it was written; a name (a new file or folder, a
 *   link, a rename) once a flush of its folder has.
 * - Of the rest each file loses something of its own, and names are undone from the latest on or one by one: no file system
 *   promises an order.
 * - What was removed does not come back.
 */

import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Line } from './plan.ts';
import type { Random } from './random.ts';

/** `doneAt` is infinite for what was cut off: it may have happened. */
type Range = { from: number; to: number; doneAt: number; key: string };
type NameChange = { path: string; from: string | null; replaced: string | null; doneAt: number; key: string };

export class Disk {
  readonly #storeDir: string;
  readonly #ranges = new Map<number, Range[]>();
  #names: NameChange[] = [];
  /** When a flush under way began. */
  readonly #flushes = new Map<string, number>();

  constructor(storeDir: string) {
    this.#storeDir = storeDir;
  }

  /** Of one process after another, or several at once: in the order of their times. */
  feed(lines: Line[]): void {
    for (const line of lines) if (line.kind.startsWith('volume ')) this.#feed(line);
  }

  get isAllSafe(): boolean {
    return this.#names.length === 0 && [...this.#ranges.values()].every((ranges) => ranges.length === 0);
  }

  /** Nothing may be at work on the volume. Returns what was lost, in words. */
  lose(random: Random): string[] {
    const lost = [...this.#loseNames(random), ...this.#loseBytes(random)];
    this.#ranges.clear();
    this.#names = [];
    this.#flushes.clear();
    return lost;
  }

  #feed(line: Line): void {
    const { name, phase, at, inode } = line;
    const key = `${line.pid} ${line.n}`;
    if (/^(data)?sync$/.test(name)) {
      if (phase === 'before') this.#flushes.set(key, at);
      else if (line.code === undefined) this.#flushed(line, this.#flushes.get(key) ?? 0);
      return;
    }
    if (phase === 'before') {
      this.#began(line, key);
      return;
    }
    const isDone = line.code === undefined;
    for (const change of this.#names) if (change.key === key) change.doneAt = isDone ? at : Number.POSITIVE_INFINITY;
    if (!isDone && /^(open|mkdir|link|symlink|rename)$/.test(name))
      this.#names = this.#names.filter((change) => change.key !== key);
    if (inode === undefined) return;
    // A number is given again once its file is gone.
    if (name === 'open' && line.isNew) this.#ranges.set(inode, []);
    if (/^(writeFile|appendFile|copyFile)$/.test(name))
      this.#rangesOf(inode).push({ from: 0, to: Number.POSITIVE_INFINITY, doneAt: at, key });
    for (const range of this.#rangesOf(inode)) if (range.key === key) range.doneAt = at;
  }

  #began(line: Line, key: string): void {
    const { name, inode, path, to, isNew, position, bytes, replaced = null } = line;
    const pending = { doneAt: Number.POSITIVE_INFINITY, key };
    if (/^(write|writev)$/.test(name) && inode !== undefined) {
      const from = position ?? 0;
      const end = position === null || bytes === undefined ? Number.POSITIVE_INFINITY : from + bytes;
      this.#rangesOf(inode).push({ ...pending, from, to: end });
    }
    const makes = /^(mkdir|writeFile|copyFile|link|symlink)$/.test(name) || / open [wa]/.test(line.kind);
    if (makes && isNew === true) this.#names.push({ ...pending, path: to ?? path, from: null, replaced });
    if (name === 'rename' && to !== undefined) this.#names.push({ ...pending, path: to, from: path, replaced });
  }

  #flushed({ path, inode }: Line, since: number): void {
    if (inode !== undefined)
      this.#ranges.set(
        inode,
        this.#rangesOf(inode).filter(({ doneAt }) => doneAt >= since),
      );
    this.#names = this.#names.filter((change) => dirname(change.path) !== path || change.doneAt >= since);
  }

  #rangesOf(inode: number): Range[] {
    const ranges = this.#ranges.get(inode) ?? [];
    this.#ranges.set(inode, ranges);
    return ranges;
  }

  #loseNames(random: Random): string[] {
    const how = random.pickName({ none: 1, all: 1, latest: 2, some: 2 });
    const lost: string[] = [];
    for (const change of this.#names.toReversed()) {
      if (how === 'none' || (how === 'latest' && random.chance(0.3))) break;
      if (how === 'some' && random.chance(0.5)) continue;
      if (undo(change)) lost.push(`${change.from === null ? 'made' : `renamed ${change.from} to`} ${change.path}`);
    }
    return lost;
  }

  #loseBytes(random: Random): string[] {
    const lost: string[] = [];
    for (const path of filesBelow(this.#storeDir)) {
      const { ino, size } = lstatSync(path);
      const ranges = this.#ranges.get(ino) ?? [];
      for (const range of ranges.toReversed()) {
        const [from, to] = [range.from, Math.min(range.to, size)];
        if (to <= from) continue;
        const how = random.pickName({ keep: 1, cut: 2, zero: 2, garble: 2, hole: 2 });
        if (how !== 'keep') lost.push(`${how} ${from}..${to} of ${path}`);
        // Only a file's end can be cut off, and only as far as nothing safe is behind it.
        if (how === 'cut' && to >= lstatSync(path).size) truncateSync(path, from + random.below(to - from));
        else if (how !== 'keep') overwrite(path, from, to, how, random);
      }
    }
    return lost;
  }
}

function undo({ path, from, replaced }: NameChange): boolean {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return false;
  if (from === null) {
    rmSync(path, { recursive: true });
    return true;
  }
  if (existsSync(from) || !existsSync(dirname(from))) return false;
  renameSync(path, from);
  if (replaced !== null) symlinkSync(replaced, path);
  return true;
}

const blockBytes = 512;

function overwrite(
  path: string,
  from: number,
  to: number,
  how: 'zero' | 'garble' | 'hole' | 'cut',
  random: Random,
): void {
  const file = openSync(path, 'r+');
  try {
    const size = Math.min(to, lstatSync(path).size);
    for (let at = from; at < size; at += blockBytes) {
      if (how === 'hole' && random.chance(0.5)) continue;
      const block = Buffer.alloc(Math.min(blockBytes, size - at));
      if (how === 'garble') for (let i = 0; i < block.length; i++) block[i] = random.below(256);
      writeSync(file, block, 0, block.length, at);
    }
  } finally {
    closeSync(file);
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
