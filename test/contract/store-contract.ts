/** What every store keeps, whatever database is under it. `create` opens an empty one on real storage. */

import { describe, onTestFinished } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { storeClaims } from './store-claims.ts';
import { storeConversations } from './store-conversations.ts';
import { storeDue } from './store-due.ts';
import { storeModel } from './store-model.ts';
import { storeOutbound } from './store-outbound.ts';
import { storeRunLog } from './store-run-log.ts';
import { storeRuns } from './store-runs.ts';
import { storeSessions } from './store-sessions.ts';
import { storeTaskModel } from './store-task-model.ts';
import { storeTaskRuns } from './store-task-runs.ts';
import { storeTasks } from './store-tasks.ts';

export type StoreUnderTest = {
  store: Store;
  /** For a look behind the port, and for rows that no method of it writes. */
  query(statement: string, ...values: (string | number | null)[]): Record<string, unknown>[];
};

/** Closes it when the test is over. */
export type OpenStore = () => Promise<StoreUnderTest>;

export function storeContract(name: string, create: () => Promise<StoreUnderTest>): void {
  const open: OpenStore = async () => {
    const opened = await create();
    onTestFinished(() => opened.store.close());
    return opened;
  };
  describe(name, () => {
    storeRuns(open);
    storeSessions(open);
    storeConversations(open);
    storeOutbound(open);
    storeTasks(open);
    storeDue(open);
    storeClaims(open);
    storeTaskRuns(open);
    storeRunLog(open);
    storeModel(open);
    storeTaskModel(open);
  });
}
