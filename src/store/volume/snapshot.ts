/**
 * The generation that follows without a change of owner: the runtime database as the base, and a short log.
 *
 * - The runtime database has just been folded in, and is not while its file is copied: the base is one committed state. What is
 *   committed meanwhile goes to the log in use, and from the runtime database's log to the new one as well.
 * - Nothing is large on the event loop: the copy is made in pieces.
 */

import type { FileHandle } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import type { Log } from '../../lib/log.ts';
import { Feed } from './feed.ts';
import { discard, makeFolder, makeFromDatabase } from './generation.ts';
import type { Instance } from './instance.ts';
import { type Generation, generationAfter, walPath } from './layout.ts';
import { LeaseFile } from './lease.ts';
import { WalReader } from './wal-reader.ts';
import { WalWriter } from './wal-writer.ts';

/** The runtime database, open. Its files are read through handles that stay open as long as it is: closing one drops SQLite's locks. */
export type RuntimeDatabase = {
  base: FileHandle;
  wal: FileHandle;
  /** While `work` runs, nothing else uses the connection and no transaction is open. */
  exclusively<T>(work: (connection: DatabaseSync) => Promise<T>): Promise<T>;
};

/** All but the latest commits, which are appended when nothing else is. */
export type Snapshot = { generation: Generation; feed: Feed; lease: LeaseFile };

/** What is left to be appended while others wait. */
const smallBytes = 256 * 1024;
const maxCatchUps = 20;

export async function makeSnapshot(input: {
  storeDir: string;
  after: Generation;
  database: RuntimeDatabase;
  owner: Instance;
  signal: AbortSignal;
  log: Log;
}): Promise<Snapshot> {
  const { storeDir, database, owner, signal, log } = input;
  const generation = generationAfter(input.after);
  const folder = await makeFolder(storeDir, generation);
  const feed = new Feed(new WalReader(database.wal), new WalWriter(walPath(folder), null));
  try {
    await makeFromDatabase(storeDir, { database: database.base, to: generation, signal });
    for (let round = 0; round < maxCatchUps; round += 1) {
      signal.throwIfAborted();
      if ((await feed.append()) < smallBytes) break;
    }
    return { generation, feed, lease: new LeaseFile({ folder, owner, log }) };
  } catch (error) {
    await feed.writer.close().catch(() => undefined);
    await discard(storeDir, generation);
    throw error;
  }
}
