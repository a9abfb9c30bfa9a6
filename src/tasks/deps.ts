/** What the operations on tasks need. */

import { Problem } from '../domain/problem.ts';
import type { Clock } from '../lib/clock.ts';
import type { Store } from '../store/store.ts';

export type TaskDeps = {
  store: Store;
  volume: { sync(): Promise<void> };
  clock: Clock;
  settings: {
    /** IANA zone of tasks that name none. */
    timezone: string;
  };
};

/** What was changed is on the volume, or the caller is told `failure`. */
export async function makeDurable(deps: TaskDeps, taskId: string, failure: string): Promise<void> {
  try {
    await deps.volume.sync();
  } catch (cause) {
    throw new Problem('not_durable', failure, { taskId, retryAfterS: 5, cause });
  }
}
