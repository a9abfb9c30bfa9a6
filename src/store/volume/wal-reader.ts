/**
 * What was committed to a write-ahead log, from where the last look at it ended.
 *
 * - Only frames with a valid running checksum, up to the last that ends a transaction, count. The rest may be half
 *   written, or be taken back.
 * - The file is read through one handle that stays open, and may be written to meanwhile.
 * - A log begins anew only when its owner says so beforehand (`expectRestart`). One that has other salts without that was
 *   restarted by somebody else, and what it held is gone: an error.
 */

import type { FileHandle } from 'node:fs/promises';
import {
  type Checksum,
  checkFrame,
  endsTransaction,
  frameBytesOf,
  parseWalHeader,
  type WalHeader,
  walHeaderBytes,
} from './wal-format.ts';

/** A stretch of whole transactions. */
export type Stretch = { header: WalHeader; from: number; to: number; checksum: Checksum };

export class RestartedElsewhere extends Error {
  constructor() {
    super('another program has begun the write-ahead log of the runtime database anew');
    this.name = 'RestartedElsewhere';
  }
}

const chunkBytes = 1024 * 1024;

export class WalReader {
  readonly #file: FileHandle;
  #header: WalHeader | null = null;
  #offset = walHeaderBytes;
  #checksum: Checksum = [0, 0];
  #mayRestart = true;
  /** Of `look`, kept: a new one for each sync would have the garbage collector stop the process again and again. */
  #lookedAt: Buffer | null = null;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Of whole transactions that were taken and are not in the database yet, the header included. */
  get bytesTaken(): number {
    return this.#mayRestart ? 0 : this.#offset;
  }

  /** Whole transactions behind those that were taken; null when there is none. Takes nothing. One look at a time. */
  async look(): Promise<Stretch | null> {
    const header = await this.#readHeader();
    if (header === null) return null;
    const isNew = header.salts !== this.#header?.salts;
    const from = isNew ? walHeaderBytes : this.#offset;
    const end = await this.#findEnd(header, from, isNew ? header.checksum : this.#checksum);
    return end === null ? null : { header, from, ...end };
  }

  /** The frames of a stretch that `look` returned, a megabyte or less at a time, in memory of the caller's own. */
  async *read({ header, from, to }: Stretch): AsyncGenerator<Buffer, void> {
    for (let at = from; at < to; ) {
      const frames = Math.max(1, Math.floor(Math.min(chunkBytes, to - at) / frameBytesOf(header)));
      const chunk = await this.#readFrames(header, at, Buffer.allocUnsafe(frames * frameBytesOf(header)));
      if (chunk.length === 0) throw new Error('the write-ahead log became shorter while it was read');
      yield chunk;
      at += chunk.length;
    }
  }

  /** What comes after this stretch is looked for from now on. */
  take({ header, to, checksum }: Stretch): void {
    this.#header = header;
    this.#offset = to;
    this.#checksum = checksum;
    this.#mayRestart = false;
  }

  /** All that the log holds was taken and is in the database: the next transaction may begin the log anew. */
  expectRestart(): void {
    this.#mayRestart = true;
  }

  async #readHeader(): Promise<WalHeader | null> {
    const bytes = Buffer.alloc(walHeaderBytes);
    const { bytesRead } = await this.#file.read(bytes, 0, walHeaderBytes, 0);
    const header = parseWalHeader(bytes.subarray(0, bytesRead));
    const known = this.#header;
    if (known !== null && !this.#mayRestart && header?.salts !== known.salts) throw new RestartedElsewhere();
    return header;
  }

  async #findEnd(
    header: WalHeader,
    from: number,
    before: Checksum,
  ): Promise<{ to: number; checksum: Checksum } | null> {
    const frameBytes = frameBytesOf(header);
    this.#lookedAt ??= Buffer.allocUnsafe(chunkBytes);
    const buffer = this.#lookedAt.subarray(0, chunkBytes - (chunkBytes % frameBytes));
    let end: { to: number; checksum: Checksum } | null = null;
    let checksum = before;
    for (let at = from; ; ) {
      const chunk = await this.#readFrames(header, at, buffer);
      for (let offset = 0; offset < chunk.length; offset += frameBytes) {
        const next = checkFrame(chunk, offset, header, checksum);
        if (next === null) return end;
        checksum = next;
        if (endsTransaction(chunk, offset)) end = { to: at + offset + frameBytes, checksum };
      }
      if (chunk.length < buffer.length) return end;
      at += chunk.length;
    }
  }

  /** Whole frames only; fewer than there is room for at the end of the file. */
  async #readFrames(header: WalHeader, at: number, buffer: Buffer): Promise<Buffer> {
    let read = 0;
    while (read < buffer.length) {
      const { bytesRead } = await this.#file.read(buffer, read, buffer.length - read, at + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    return buffer.subarray(0, read - (read % frameBytesOf(header)));
  }
}
