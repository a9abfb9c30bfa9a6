/** How long and how many: the agent's limits, and the number of runs that follows from them. Types alone are imported. */

import type { ArchiveLimits } from './archive/archiver.ts';
import type { PerformLimits } from './perform.ts';
import type { ProcessesLimits } from './processes.ts';

/** `archiveMs` is less than `silenceMs`. */
export type ClaudeLimits = PerformLimits &
  ArchiveLimits &
  Omit<ProcessesLimits, 'spares' | 'conversations' | 'idleMs' | 'maxProcesses'> & {
    maxConcurrentStarts: number;
    /** Runs that may wait for a process, beyond those that have one. */
    maxWaitingRuns: number;
    /** From the start of a process to when it is ready. */
    startMs: number;
    /** Of one call of the model API; each waits twice as long as the one before, from half a second. */
    maxRetries: number;
    /** How long a stream of the model API may send nothing before the CLI asks again without streaming. */
    streamIdleMs: number;
    /** The context window, in tokens, that a conversation is compacted for; the model's own when null. */
    compactWindow: number | null;
    /** How long an MCP server may take to connect before the run goes on without it. */
    mcpConnectMs: number;
    /** How long one call of a tool of the tool server may take; at least a second. */
    toolMs: number;
    /** How long a live process may take to change an option. */
    changeMs: number;
    /** From the end of a process's input to killing it. */
    exitMs: number;
  };

export const defaultLimits: ClaudeLimits = {
  maxConcurrentStarts: 2,
  maxWaitingRuns: 64,
  maxRetries: 4,
  startMs: 60_000,
  firstMessageMs: 60_000,
  streamIdleMs: 60_000,
  // Longer than the CLI's own watch over the stream and the answer without streaming that follows it.
  silenceMs: 240_000,
  compactWindow: null,
  mcpConnectMs: 10_000,
  toolMs: 30_000,
  changeMs: 5_000,
  archiveMs: 60_000,
  transcriptMs: 2_000,
  interruptMs: 2_000,
  exitMs: 2_000,
  promiseMs: 30_000,
};

/** How many runs may be under way or waiting at once. */
export function maxRunsOf({ maxProcesses }: { maxProcesses: number }, { maxWaitingRuns }: ClaudeLimits): number {
  return maxProcesses + maxWaitingRuns;
}
