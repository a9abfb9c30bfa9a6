/** What only the SQLite store promises: the size of its file, which every sync copies. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { acceptInput } from '../support/store-inputs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

it('what is deleted leaves the file, so that one large message does not make every later sync large', async () => {
  const path = join(temporaryFolder(), 'messages.db');
  const store = await createSqliteStore({ path });
  const pages = () => {
    const direct = new DatabaseSync(path);
    const count = direct.prepare('PRAGMA page_count').get()?.page_count;
    direct.close();
    return Number(count);
  };
  const before = pages();
  const accepted = await store.acceptRun(acceptInput({ text: 'x'.repeat(500_000) }));
  if (accepted.kind !== 'accepted') throw new Error(accepted.kind);
  expect(pages()).toBeGreaterThan(before + 100);
  await store.withdrawRun(accepted.run.id, accepted.run.fencingToken);
  expect(pages()).toBeLessThanOrEqual(before + 2);
  await store.close();
});
