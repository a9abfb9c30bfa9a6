/**
 * The port to the persistent volume: the runtime database lives on local disk, what was answered lives here.
 *
 * Rules that every implementation keeps:
 * - `sync` resolves only when everything committed to the runtime database before the call is on the volume, flushed, and
 *   the volume was still this instance's after that.
 * - At every instant the volume holds a whole database with everything that `sync` has resolved for. Plain `sqlite3` opens it.
 * - No health check touches the volume.
 */

export type VolumeStatus = {
  /** False from a failed sync until the next that succeeds, and while the volume is not this instance's. */
  durable: boolean;
  /** Number of the generation in use: it grows with each takeover and each snapshot, and never restarts. 0 before the first. */
  epoch: number;
  lastSyncAt: string | null;
  /** Why `durable` is false, for people, without a path; null while it is true. */
  fault: string | null;
  /** The other instance that is at work on the volume; null when there is none that this one knows of. */
  owner: string | null;
  /** What the last sync that wrote something took; null before the first. */
  syncMs: number | null;
  /** What the last hydration took, and how much it read. */
  hydrate: { ms: number; bytes: number } | null;
  databaseBytes: number;
  /** What was appended since the last snapshot. */
  walBytes: number;
  lastSnapshot: { at: string; ms: number } | null;
};

export interface Volume {
  /** Runtime database → volume. Calls that overlap share one flush. Rejects with a `Problem` (503) or `SyncFailed`. */
  sync(): Promise<void>;
  status(): VolumeStatus;
}

/** The volume could not be written or looked at; `message` is for the operator, with the path and the cause. */
export class SyncFailed extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'SyncFailed';
  }
}

/** The volume is not this instance's any more, and neither is what it holds in memory or on local disk. */
export class TenureOver extends Error {
  /** Whether another instance has it, or this one could not go on with what it had. */
  readonly kind: 'taken' | 'given up';

  constructor(message: string, kind: TenureOver['kind']) {
    super(message);
    this.name = 'TenureOver';
    this.kind = kind;
  }
}
