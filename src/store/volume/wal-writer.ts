/**
 * A generation's write-ahead log on the volume: transactions are appended, then flushed.
 *
 * - The log is one chain of its own from the generation's beginning to its end, whatever becomes of the runtime database's:
 *   frames are taken over with the salts and checksums of this chain.
 * - What was not flushed does not count. After an append or a flush that failed, the next one begins behind what was
 *   flushed, through a new handle: a kernel that could not write a page forgets that it had to.
 * - What was flushed is never changed.
 */

import { randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { isGone } from '../../lib/error-code.ts';
import { writeAll } from './files.ts';
import {
  adoptFrame,
  type Checksum,
  frameBytesOf,
  makeWalHeader,
  parseWalHeader,
  type WalHeader,
  walHeaderBytes,
} from './wal-format.ts';

export type WalEnd = { header: WalHeader; offset: number; checksum: Checksum };

/** What was flushed to it is not there any more: only a snapshot makes the volume whole again. */
export class LogRemoved extends Error {
  constructor(cause?: unknown) {
    super('another program has removed the write-ahead log on the volume', { cause });
    this.name = 'LogRemoved';
  }
}

export class WalWriter {
  readonly #path: string;
  #file: FileHandle | null = null;
  #flushed: WalEnd | null;
  #written: WalEnd | null;
  #names = 0;
  #mostNames = 0;

  /** `end` is where the log at `path` ends, flushed; null for one that is empty. */
  constructor(path: string, end: WalEnd | null) {
    this.#path = path;
    this.#flushed = end;
    this.#written = end;
  }

  get bytesFlushed(): number {
    return this.#flushed?.offset ?? 0;
  }

  /** A person's sqlite3 has folded the log into the base, which nobody else should change, and taken away its name for it. */
  get wasFolded(): boolean {
    return this.#names < this.#mostNames;
  }

  /** Whole frames of any log with pages of `pageBytes`. They are changed in place. */
  async append(frames: Buffer, pageBytes: number): Promise<void> {
    await this.#guarded(async (file) => {
      const end = this.#written ?? (await this.#begin(file, pageBytes));
      if (end.header.pageBytes !== pageBytes)
        throw new Error(`the pages of the database have ${pageBytes} bytes now, and had ${end.header.pageBytes}`);
      let { checksum } = end;
      for (let at = 0; at < frames.length; at += frameBytesOf(end.header))
        checksum = adoptFrame(frames, at, end.header, checksum);
      await writeAll(file, frames, end.offset);
      this.#written = { header: end.header, offset: end.offset + frames.length, checksum };
    });
  }

  async flush(): Promise<void> {
    await this.#guarded(async (file) => {
      const written = this.#written;
      await file.datasync();
      const { nlink } = await file.stat();
      // Or begins it anew in place: what was flushed is gone then, and the file is there.
      if (nlink === 0 || !(await beginsAs(file, written))) throw new LogRemoved();
      this.#mostNames = Math.max(this.#mostNames, nlink);
      this.#names = nlink;
      this.#flushed = written;
    });
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #begin(file: FileHandle, pageBytes: number): Promise<WalEnd> {
    const { bytes, header } = makeWalHeader({ pageBytes, salts: randomBytes(8).readBigUInt64BE() });
    await writeAll(file, bytes, 0);
    return { header, offset: walHeaderBytes, checksum: header.checksum };
  }

  async #guarded(work: (file: FileHandle) => Promise<void>): Promise<void> {
    try {
      this.#file ??= await this.#reopen();
      await work(this.#file);
    } catch (error) {
      this.#written = this.#flushed;
      // The error that led here is the one to report.
      await this.close().catch(() => undefined);
      throw error;
    }
  }

  async #reopen(): Promise<FileHandle> {
    // Never created here: a log that is gone is a fault, and one of the same name would hide it.
    const file = await open(this.#path, 'r+').catch((error: unknown) => {
      throw isGone(error) ? new LogRemoved(error) : error;
    });
    try {
      await file.truncate(this.bytesFlushed);
      return file;
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
  }
}

async function beginsAs(file: FileHandle, end: WalEnd | null): Promise<boolean> {
  if (end === null) return true;
  const bytes = Buffer.alloc(walHeaderBytes);
  await file.read(bytes, 0, walHeaderBytes, 0);
  return parseWalHeader(bytes)?.salts === end.header.salts;
}
