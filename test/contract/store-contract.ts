/** What every store keeps, whatever database is under it. `create` opens an empty one on real storage. */

import { describe, onTestFinished } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { storeConversations } from './store-conversations.ts';
import { storeModel } from './store-model.ts';
import { storeRuns } from './store-runs.ts';
import { storeSessions } from './store-sessions.ts';

export type StoreUnderTest = {
  store: Store;
  /** For rows that no method of the port writes yet, and for a look behind the port. */
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
    storeModel(open);
  });
}
