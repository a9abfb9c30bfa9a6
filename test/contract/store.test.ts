/** The store contract over every implementation there is. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { onTestFinished } from 'vitest';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { storeContract } from './store-contract.ts';

storeContract('sqlite', async () => {
  const path = join(temporaryFolder(), 'messages.db');
  const store = await createSqliteStore({ path });
  const direct = new DatabaseSync(path);
  onTestFinished(() => direct.close());
  return {
    store,
    query: (statement, ...values) =>
      direct
        .prepare(statement)
        .all(...values)
        .map((row) => ({ ...row })),
  };
});
