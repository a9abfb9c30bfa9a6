/**
 * The port to the persistent volume: the runtime database lives on local disk, what was answered lives here.
 *
 * Rules that every implementation keeps:
 * - `sync` resolves only when everything committed to the runtime database before the call is on the volume, flushed.
 * - A sync that fails leaves a whole database on the volume: the last good one, or, where only its last flush failed, the
 *   new one. Plain `sqlite3` opens either.
 * - Nothing else touches the volume: no read, no health check.
 */

export type HydrateReport = {
  /** `none`: the volume held no database. `v1`: it holds one of PicoClaw 1.x, kept as `messages.v1.db` before the first sync. */
  found: 'none' | 'v1' | 'v2';
  bytes: number;
  durationMs: number;
};

export type VolumeStatus = {
  /** False from a failed sync until the next one that succeeds. */
  durable: boolean;
  lastSyncAt: string | null;
  /** Counts the syncs since start that wrote something. */
  epoch: number;
  /** Why `durable` is false; null while it is true. */
  fault: string | null;
};

export interface Volume {
  /** Volume → runtime database, before anything has opened that. A damaged database on the volume is an error, never an empty start. */
  hydrate(): Promise<HydrateReport>;
  /** Runtime database → volume. Calls that overlap share one write; without changes since the last one it does nothing. */
  sync(): Promise<void>;
  status(): VolumeStatus;
  /** Waits for a sync under way. Idempotent. */
  stop(): Promise<void>;
}

/** What `sync` rejects with; `message` is for the operator, with the path and the cause. */
export class SyncFailed extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'SyncFailed';
  }
}
