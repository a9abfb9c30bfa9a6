/**
 * Keeps a task claimed while its run works: the lease is renewed in the database and on the volume, long before it expires.
 *
 * It expires only when its instance is dead, frozen or cut off from the volume; then the slot may be tried again elsewhere.
 * A renewal that fails is tried again at the next turn; one that finds the claim gone ends the run, for it is another's now.
 */

import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Store, TaskClaim } from '../store/store.ts';

export type LeaseDeps = {
  store: Store;
  volume: { sync(): Promise<void> };
  clock: Clock;
  log: Log;
  leaseMs: number;
};

/** Two renewals may fail before a third must succeed. */
const renewalsPerLease = 3;

export function leaseEnd(now: string, leaseMs: number): string {
  return new Date(Date.parse(now) + leaseMs).toISOString();
}

export function keepLease(deps: LeaseDeps, claim: TaskClaim, onLost: () => void): { stop(): void } {
  const { store, volume, clock, log, leaseMs } = deps;
  const taskId = claim.task.id;
  const renew = async () => {
    try {
      const expiresAt = leaseEnd(clock.now(), leaseMs);
      const held = await store.renewLease({ taskId, fencingToken: claim.fencingToken, expiresAt });
      if (held) await volume.sync();
      else onLost();
    } catch (error) {
      log.warn({ task_id: taskId, err: error }, 'the lease of a task could not be renewed');
    }
  };
  let renewing = false;
  const timer = setInterval(() => {
    // A slow volume is not asked for more before it has answered.
    if (renewing) return;
    renewing = true;
    void renew().finally(() => {
      renewing = false;
    });
  }, leaseMs / renewalsPerLease);
  return { stop: () => clearInterval(timer) };
}
