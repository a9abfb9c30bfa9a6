/**
 * The file by which an instance says that it is at work, so that others wait their turn. Nothing is safe or unsafe because of
 * it: that is the baton's.
 *
 * - An instance that works writes it again and again. One that is idle says so once, and may then be frozen for ever.
 * - Its age is told by the clock of the file server alone: its time against that of a file written just now.
 * - Not flushed: after a power cut nobody is at work.
 */

import { constants, open, rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import * as z from 'zod/mini';
import { isGone } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { type Instance, instanceSchema, isDead } from './instance.ts';
import { leasePath, temporaryPath } from './layout.ts';

/** After this much silence an instance is taken for dead or frozen: longer than it is kept from writing by a busy machine. */
export const leaseMs = 6_000;
const renewMs = 2_000;

const rereadMs = 5;
const maxRereads = 40;

const leaseSchema = z.strictObject({
  owner: instanceSchema,
  state: z.enum(['busy', 'idle']),
  /** Bytes of the generation's log that were flushed by then. */
  flushed: z.int(),
});

export type Lease = z.infer<typeof leaseSchema> & {
  /** When it was written, by the clock of the file system. */
  writtenAtMs: number;
};

/** Null when there is none, and when it was cut off as it was written. */
export async function readLease(folder: string): Promise<Lease | null> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      // Opened, not looked at: over NFS only that asks the server.
      await using file = await open(leasePath(folder), 'r');
      const { mtimeMs } = await file.stat();
      const parsed = leaseSchema.safeParse(JSON.parse(await file.readFile('utf8')));
      return parsed.success ? { ...parsed.data, writtenAtMs: mtimeMs } : null;
    } catch (error) {
      if (isGone(error)) return null;
      if (!(error instanceof SyntaxError)) throw error;
      if (attempt === maxRereads) return null;
    }
    // It is being written: whoever is at work must not be taken for idle because of the moment.
    await sleep(rereadMs);
  }
}

/** The other instance that is at work under this lease; null when there is none, or none any more. */
export async function findHolder(
  lease: Lease | null,
  input: { storeDir: string; self: Instance; patienceMs?: number },
): Promise<Instance | null> {
  if (lease === null || lease.state === 'idle') return null;
  if (isDeepStrictEqual(lease.owner, input.self) || isDead(lease.owner)) return null;
  const ageMs = (await readFileClock(input.storeDir)) - lease.writtenAtMs;
  return ageMs > (input.patienceMs ?? leaseMs) ? null : lease.owner;
}

/** The time that the file system gives to what is written now. */
export async function readFileClock(storeDir: string): Promise<number> {
  const path = temporaryPath(storeDir);
  try {
    await using file = await open(path, 'wx');
    await file.write('now');
    return (await file.stat()).mtimeMs;
  } finally {
    await rm(path, { force: true });
  }
}

/** Room for a lease, whatever it says. */
const leaseBytes = 1024;

/** In one write over what was there: emptied first, it would look for a moment, or longer on a busy disk, as if nobody worked. */
async function writeInPlace(path: string, text: string): Promise<void> {
  await using file = await open(path, constants.O_WRONLY | constants.O_CREAT);
  await file.write(text.padEnd(leaseBytes), 0);
}

/** This instance's own lease of one generation. */
export class LeaseFile {
  readonly #folder: string;
  readonly #owner: Instance;
  readonly #log: Log;
  #flushed = 0;
  #isBusy = false;
  #timer: NodeJS.Timeout | null = null;
  #writing: Promise<void> | null = null;
  #isWritten = false;

  constructor(input: { folder: string; owner: Instance; log: Log }) {
    this.#folder = input.folder;
    this.#owner = input.owner;
    this.#log = input.log;
  }

  /** Said with whatever is written next. */
  noteFlushed(bytes: number): void {
    this.#flushed = bytes;
  }

  /** Resolves when it is written. */
  take(): Promise<void> {
    this.#isBusy = true;
    this.#timer ??= setInterval(() => void this.#write(), renewMs);
    return this.#write();
  }

  /** Resolves when it is written. */
  letGo(): Promise<void> {
    this.#isBusy = false;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    return this.#write();
  }

  /** Resolves when what was said last is written. */
  written(): Promise<void> {
    return this.#writing ?? Promise.resolve();
  }

  /** Never rejects: at worst somebody waits in vain, or does not. A write under way is followed by one of the latest state. */
  #write(): Promise<void> {
    this.#isWritten = false;
    this.#writing ??= this.#writeUntilDone();
    return this.#writing;
  }

  async #writeUntilDone(): Promise<void> {
    while (!this.#isWritten) {
      this.#isWritten = true;
      const lease = { owner: this.#owner, state: this.#isBusy ? 'busy' : 'idle', flushed: this.#flushed };
      try {
        await writeInPlace(leasePath(this.#folder), JSON.stringify(lease));
      } catch (error) {
        this.#log.debug({ err: error }, 'the lease of the volume could not be written');
      }
    }
    this.#writing = null;
  }
}
