/**
 * Changes what a server that has ended left on its volume, as another instance would: taken over, hydrated, changed, synced,
 * let go of. `dir` is that of `server.ts`.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { systemClock } from '../../src/lib/clock.ts';
import { StoreAccess } from '../../src/store/access.ts';
import type { Store } from '../../src/store/store.ts';

export async function changeVolume(
  dir: string,
  change: (store: Store, db: DatabaseSync) => Promise<unknown>,
): Promise<void> {
  const localDbPath = join(dir, `local-${randomUUID()}`, 'messages.db');
  const access = new StoreAccess({
    storeDir: join(dir, 'store'),
    localDbPath,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    onLost: async () => undefined,
    onOpen: async () => undefined,
  });
  await access.start();
  try {
    await access.use('writes', async () => {
      using db = new DatabaseSync(localDbPath);
      // Folding its log in is for its owner alone.
      db.exec('PRAGMA wal_autocheckpoint = 0');
      await change(access.store, db);
      await access.sync();
    });
  } finally {
    await access.stop();
  }
}
