/** What the operations on tasks need. */

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
