/**
 * The volume and the runtime database, open together: taken over, hydrated, migrated, recovered and synced; closed in the
 * reverse order.
 */

import { type FileHandle, open } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { makeStore } from './queries/make-store.ts';
import { type Database, openDatabase } from './sqlite/sqlite-store.ts';
import type { Store } from './store.ts';
import type { Instance } from './volume/instance.ts';
import { leaseMs } from './volume/lease.ts';
import { type TakenOver, takeOver } from './volume/take-over.ts';
import { Tenure } from './volume/tenure.ts';
import { TenureOver } from './volume/volume.ts';

export type OpeningInput = {
  storeDir: string;
  localDbPath: string;
  self: Instance;
  clock: Clock;
  log: Log;
  /** The highest number of a generation that this instance has known. */
  known: number;
  /** Before anything else uses a database that was just hydrated. */
  onOpen: (store: Store) => Promise<void>;
  /** Called once, when the volume is lost. */
  onOver: (opened: Tenure, reason: TenureOver) => void;
};

export type Opened = {
  tenure: Tenure;
  database: Database;
  generation: number;
  found: TakenOver['found'];
  /** What was read from the volume. */
  bytes: number;
  close(): Promise<void>;
};

/** Without waiting for an instance that is at work. Rejects when the volume cannot be used, or holds nothing that is whole. */
export async function openVolume(
  input: OpeningInput,
): Promise<{ kind: 'open'; opened: Opened } | { kind: 'owned_elsewhere'; owner: string }> {
  const { storeDir, localDbPath, self, log, known } = input;
  // Two that take each other for frozen, because a takeover keeps each of them from saying otherwise, would go on for ever.
  for (let patienceMs = leaseMs; ; patienceMs *= 2) {
    const outcome = await takeOver({
      storeDir,
      localDbPath,
      self,
      log,
      known,
      patienceMs,
      createDatabase: async (path) => (await openDatabase(path)).close(),
    });
    if (outcome.kind === 'owned_elsewhere') return { kind: 'owned_elsewhere', owner: outcome.owner.label };
    if (outcome.kind === 'outrun') continue;
    try {
      return { kind: 'open', opened: await openTaken(input, outcome) };
    } catch (error) {
      // Another instance was faster, after all.
      if (!(error instanceof TenureOver && error.kind === 'taken')) throw error;
    }
  }
}

async function openTaken(input: OpeningInput, taken: TakenOver): Promise<Opened> {
  const { storeDir, localDbPath, self, clock, log, onOpen, onOver } = input;
  await using undo = new AsyncDisposableStack();
  undo.defer(() => taken.lease.letGo());
  // Before SQLite opens it: to close a handle of a file drops every lock that this process has on it.
  const base = await openUntilDisposed(localDbPath, undo);
  const database = await openDatabase(localDbPath);
  undo.defer(() => database.close());
  const wal = await openUntilDisposed(`${localDbPath}-wal`, undo);
  const tenure: Tenure = new Tenure({
    storeDir,
    taken,
    owner: self,
    database: { base, wal, exclusively: database.exclusively },
    databaseBytes: (await base.stat()).size,
    clock,
    log,
    onOver: (reason) => onOver(tenure, reason),
  });
  undo.defer(() => tenure.end());
  await onOpen(makeStore({ db: () => database.db, explain: (error) => error, close: async () => undefined }));
  await tenure.sync();
  const parts = undo.move();
  const { generation, found, bytes } = taken;
  return { tenure, database, generation: generation.number, found, bytes, close: () => parts.disposeAsync() };
}

async function openUntilDisposed(path: string, stack: AsyncDisposableStack): Promise<FileHandle> {
  const file = await open(path, 'r');
  stack.defer(() => file.close());
  return file;
}
