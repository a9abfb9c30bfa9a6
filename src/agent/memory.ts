/**
 * What memory there is, and what the claude processes take of it.
 *
 * A process is counted with its share of what it has in common with others (PSS), since they run the same program.
 */

import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';

/** A live conversation's, measured; a spare has less. */
export const processBytes = 130 * 1024 ** 2;

/** For the server itself, its caches and its database. */
const serverBytes = 256 * 1024 ** 2;

/** An idle process takes some 1 % of a core. */
const maxWarmConversations = 32;

/** The memory that this process really has: the container's, where one limits it. */
export function availableBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/** How many claude processes there may be, and how many conversations to keep where nobody has said; pure. */
export function decideProcesses(
  bytes: number,
  { spares, conversations }: { spares: number; conversations: number | null },
): { maxProcesses: number; spares: number; conversations: number } {
  // However little there is, one run must be able to work.
  const maxProcesses = Math.max(1, Math.floor((bytes - serverBytes) / processBytes));
  // The last room is a run's.
  const kept = Math.min(spares, maxProcesses - 1);
  return {
    maxProcesses,
    spares: kept,
    conversations: conversations ?? Math.min(maxProcesses - kept, maxWarmConversations),
  };
}

const sampleMs = 5_000;

/** Measured at most every few seconds, beside whoever asks. */
export class MemoryUse {
  readonly #pids: () => number[];
  #bytes: number | null = null;
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(pids: () => number[]) {
    this.#pids = pids;
  }

  /** As last measured; null before, and where there is no /proc. */
  bytes(): number | null {
    if (performance.now() - this.#measuredAt > sampleMs) {
      this.#measuredAt = performance.now();
      void this.#measure();
    }
    return this.#bytes;
  }

  async #measure(): Promise<void> {
    const families = await Promise.all(this.#pids().map(familyOf));
    const sizes = await Promise.all(families.flat().map(pssOf));
    const known = sizes.filter((size) => size !== null);
    this.#bytes = sizes.length > 0 && known.length === 0 ? null : known.reduce((total, size) => total + size, 0);
  }
}

/** It and its descendants: a sandbox around the program, and what its tools have started. */
async function familyOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const pids = children.split(' ').filter(Boolean).map(Number);
  return [pid, ...(await Promise.all(pids.map(familyOf))).flat()];
}

async function pssOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => null);
  const kibibytes = /^Pss:\s+(\d+) kB/m.exec(text ?? '')?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
