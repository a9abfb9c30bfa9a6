/**
 * From the runtime database's log to a generation's: whole transactions, in order, each of them once.
 *
 * - What could not be flushed is read, or held, again the next time.
 * - What is kept in memory may leave the runtime database's log: its folding in does not wait for the volume.
 * One call at a time.
 */

import type { Stretch, WalReader } from './wal-reader.ts';
import type { WalWriter } from './wal-writer.ts';

type Frames = { bytes: Buffer; pageBytes: number };

export class Feed {
  readonly source: WalReader;
  readonly writer: WalWriter;
  #kept: Frames[] = [];

  constructor(source: WalReader, writer: WalWriter) {
    this.source = source;
    this.writer = writer;
  }

  /** Everything committed so far, flushed. Returns how many bytes there were. */
  async append(): Promise<number> {
    const kept = this.#kept;
    const stretch = await this.source.look();
    if (stretch === null && kept.length === 0) return 0;
    let appended = 0;
    for (const frames of kept) appended += await this.#write(frames);
    if (stretch !== null) for await (const frames of this.#read(stretch)) appended += await this.#write(frames);
    await this.writer.flush();
    this.#kept = [];
    if (stretch !== null) this.source.take(stretch);
    return appended;
  }

  /** Takes what is new into memory, to be appended with the next call. */
  async keep(): Promise<void> {
    const stretch = await this.source.look();
    if (stretch === null) return;
    const frames: Frames[] = [];
    for await (const read of this.#read(stretch)) frames.push(read);
    this.#kept.push(...frames);
    this.source.take(stretch);
  }

  async *#read(stretch: Stretch): AsyncGenerator<Frames, void> {
    for await (const bytes of this.source.read(stretch)) yield { bytes, pageBytes: stretch.header.pageBytes };
  }

  async #write({ bytes, pageBytes }: Frames): Promise<number> {
    await this.writer.append(bytes, pageBytes);
    return bytes.length;
  }
}
