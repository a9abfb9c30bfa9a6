/**
 * The store, for as long as the volume is this instance's; taken, let go of, lost and taken again.
 *
 *     standby → (taken over, hydrated, opened) → open → (lost: another instance took over) → dropped → standby
 *
 * - Whoever uses the store does it inside `use`. A use that finds the instance idle looks at the baton first: while it was
 *   idle, or frozen, another may have taken over. Nothing that was read or done is answered before another look.
 * - When the volume is lost, everything that rests on what is in memory or on local disk ends first (runs, their agents, the
 *   uses under way, which fail); then the runtime database is closed. What comes after sees a database that was hydrated afresh.
 * - In standby it is tried again and again to take over from an instance that is not at work, so that health tells the truth.
 */

import { type FileHandle, open } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, storeOwnedElsewhere, storeTakenOver } from '../domain/problem.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { timed } from '../lib/timings.ts';
import { makeStore } from './queries/make-store.ts';
import { explainSqlite } from './sqlite/explain.ts';
import { type Database, openDatabase } from './sqlite/sqlite-store.ts';
import type { Store } from './store.ts';
import { describeFault } from './volume/fault.ts';
import { type Instance, thisInstance } from './volume/instance.ts';
import { type TakenOver, takeOver } from './volume/take-over.ts';
import { Tenure } from './volume/tenure.ts';
import { TenureOver, type Volume, type VolumeStatus } from './volume/volume.ts';

export type AccessInput = {
  storeDir: string;
  localDbPath: string;
  clock: Clock;
  log: Log;
  /** Ends whatever rests on a state that is lost. What it asks of the store meanwhile fails. */
  onLost: () => Promise<void>;
  /** Before anything else uses a database that was just hydrated. */
  onOpen: (store: Store) => Promise<void>;
  /** Who this is; the process, unless there are several in one. */
  self?: Instance;
};

export type Use = 'reads' | 'writes';

type Opened = { tenure: Tenure; database: Database; files: FileHandle[] };

/** How long a request waits for an instance that is at work: longer than it takes to see that it is dead. */
const maxWaitMs = 8_000;
const lookAgainMs = 100;
const standbyMs = 1_000;
/** For answers that are on their way when the server stops. */
const lastUsesMs = 2_000;

export class StoreAccess implements Volume {
  readonly store: Store;
  readonly #input: AccessInput;
  readonly #self: Instance;
  #opened: Opened | null = null;
  #attempt: Promise<Attempt> | null = null;
  #dropping: Promise<void> | null = null;
  #standby: NodeJS.Timeout | null = null;
  #isStopped = false;
  #uses = 0;
  #writers = 0;
  #whenUnused: PromiseWithResolvers<void> | null = null;
  #owner: string | null = null;
  #fault: string | null = null;
  #localFault: string | null = null;
  #hydrate: VolumeStatus['hydrate'] = null;

  constructor(input: AccessInput) {
    this.#input = input;
    this.#self = input.self ?? thisInstance();
    this.store = makeStore({
      db: () => this.#requireOpened().database.db,
      explain: (error) => this.#explain(error),
      onCommit: () => {
        this.#localFault = null;
      },
      close: async () => undefined,
    });
  }

  /** Takes the volume, unless another instance is at work on it. Rejects when there is something wrong with it. */
  async start(): Promise<void> {
    const attempt = await this.#tryOpen();
    if (attempt.kind === 'open') return;
    this.#input.log.warn({ owner: attempt.owner }, 'another instance is at work on the volume; waiting for it');
    this.#standBy();
  }

  /** Does the work with the volume ours and the store hydrated. Rejects with a `Problem` (503) when that cannot be had, or is lost meanwhile. */
  async use<T>(kind: Use, work: () => Promise<T>): Promise<T> {
    return this.#inUse(await this.#enter(kind), work);
  }

  /** As `use`, for what can wait until the volume is ours anyway. Does nothing, and says so, when it is not. */
  async useIfOurs(work: () => Promise<void>): Promise<boolean> {
    if (this.#opened === null || this.#dropping !== null || this.#isStopped) return false;
    const leave = await this.#enterOpened('writes');
    if (leave === null) return false;
    await this.#inUse(leave, work);
    return true;
  }

  /** What was begun in a use goes on after it: until the function is called. */
  hold(): () => void {
    return this.#count('writes');
  }

  async sync(): Promise<void> {
    await timed('sync', () => this.#requireOpened().tenure.sync().catch(rejectTakenOver));
  }

  status(): VolumeStatus {
    const tenure = this.#opened?.tenure.status();
    return {
      durable: tenure?.durable === true && this.#localFault === null,
      epoch: tenure?.epoch ?? 0,
      lastSyncAt: tenure?.lastSyncAt ?? null,
      fault: tenure?.fault ?? this.#localFault ?? (tenure === undefined ? this.#whyClosed() : null),
      owner: this.#owner,
      syncMs: tenure?.syncMs ?? null,
      hydrate: this.#hydrate,
      databaseBytes: tenure?.databaseBytes ?? 0,
      walBytes: tenure?.walBytes ?? 0,
      lastSnapshot: tenure?.lastSnapshot ?? null,
    };
  }

  /** Syncs what is left and lets go of the volume. Idempotent. Resolves to false when the last sync failed. */
  async stop(): Promise<boolean> {
    if (this.#isStopped) return true;
    this.#isStopped = true;
    if (this.#standby !== null) clearTimeout(this.#standby);
    await this.#attempt?.catch(() => undefined);
    await Promise.race([this.#unused(), sleep(lastUsesMs, undefined, { ref: false })]);
    await this.#dropping;
    const opened = this.#opened;
    if (opened === null) return true;
    const isClean = await opened.tenure.sync().then(
      () => true,
      (error: unknown) => {
        // What another instance has taken over is safe with it.
        if (error instanceof TenureOver) return true;
        this.#input.log.error({ err: error }, 'the last sync failed; what was answered before is on the volume');
        return false;
      },
    );
    await this.#dropping;
    this.#opened = null;
    await close(opened);
    return isClean;
  }

  async #inUse<T>(leave: () => void, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      await this.#confirm();
      return result;
    } catch (error) {
      // A refusal rests on what was read, too.
      if (error instanceof Problem && error.status < 500) await this.#confirm();
      throw error;
    } finally {
      leave();
    }
  }

  async #enter(kind: Use): Promise<() => void> {
    const deadline = performance.now() + maxWaitMs;
    for (;;) {
      if (this.#isStopped) throw shuttingDown();
      if (this.#dropping !== null) await this.#dropping;
      else if (this.#opened === null) await timed('hydrate', () => this.#waitForVolume(deadline));
      else {
        const leave = await this.#enterOpened(kind);
        if (leave !== null) return leave;
      }
    }
  }

  /** Null when the volume turns out to be lost. */
  async #enterOpened(kind: Use): Promise<(() => void) | null> {
    const opened = this.#opened;
    // Somebody at work looks at the baton often enough, and so does every use at its end.
    if (opened !== null && this.#writers > 0 && this.#dropping === null) return this.#count(kind);
    try {
      await opened?.tenure.confirm();
    } catch (error) {
      if (!(error instanceof TenureOver)) throw unconfirmed(error);
      this.#lost();
      return null;
    }
    return opened !== null && this.#opened === opened && this.#dropping === null ? this.#count(kind) : null;
  }

  async #confirm(): Promise<void> {
    try {
      await this.#requireOpened().tenure.confirm();
    } catch (error) {
      if (error instanceof TenureOver) throw storeTakenOver();
      throw error instanceof Problem ? error : unconfirmed(error);
    }
  }

  #count(kind: Use): () => void {
    let isLeft = false;
    this.#uses += 1;
    if (kind === 'writes') this.#writers += 1;
    this.#opened?.tenure.setInUse(this.#writers > 0);
    return () => {
      if (isLeft) return;
      isLeft = true;
      this.#uses -= 1;
      if (kind === 'writes') this.#writers -= 1;
      this.#opened?.tenure.setInUse(this.#writers > 0);
      this.#tellUnused();
    };
  }

  async #waitForVolume(deadline: number): Promise<void> {
    for (;;) {
      const attempt = await this.#tryOpen().catch((error: unknown) => {
        throw error instanceof Problem
          ? error
          : new Problem('store_unavailable', 'the database on the volume cannot be opened; the log says why', {
              cause: error,
            });
      });
      if (attempt.kind === 'open') return;
      if (performance.now() > deadline) throw storeOwnedElsewhere(attempt.owner);
      if (this.#isStopped) throw shuttingDown();
      await sleep(lookAgainMs);
    }
  }

  /** One attempt at a time, whoever asks for it. */
  #tryOpen(): Promise<Attempt> {
    this.#attempt ??= this.#open().finally(() => {
      this.#attempt = null;
    });
    return this.#attempt;
  }

  async #open(): Promise<Attempt> {
    if (this.#opened !== null) return { kind: 'open' };
    const startedAt = performance.now();
    try {
      const taken = await this.#takeOver();
      if (taken.kind === 'owned_elsewhere') {
        this.#owner = taken.owner.label;
        this.#fault = null;
        return { kind: 'owned_elsewhere', owner: taken.owner.label };
      }
      const opened = await this.#openTaken(taken);
      const ms = Math.round(performance.now() - startedAt);
      this.#hydrate = { ms, bytes: taken.bytes };
      this.#owner = null;
      this.#fault = null;
      // All of it was just written anew.
      this.#localFault = null;
      this.#opened = opened;
      opened.tenure.setInUse(this.#writers > 0);
      const { generation, found, bytes } = taken;
      this.#input.log.info(
        { generation: generation.number, found, bytes, duration_ms: ms },
        'hydrated from the volume',
      );
      return { kind: 'open' };
    } catch (error) {
      // Another instance was faster, after all.
      if (error instanceof TenureOver) return this.#open();
      this.#fault = describeFault(error);
      this.#owner = null;
      this.#standBy();
      throw error;
    }
  }

  async #takeOver() {
    const { storeDir, localDbPath, log } = this.#input;
    for (;;) {
      const outcome = await takeOver({
        storeDir,
        localDbPath,
        self: this.#self,
        log,
        createDatabase: async (path) => (await openDatabase(path)).close(),
      });
      if (outcome.kind !== 'outrun') return outcome;
    }
  }

  async #openTaken(taken: TakenOver): Promise<Opened> {
    const { storeDir, localDbPath, clock, log, onOpen } = this.#input;
    await using undo = new AsyncDisposableStack();
    undo.defer(() => taken.lease.letGo());
    // Before SQLite opens it: to close a handle of a file drops every lock that this process has on it.
    const base = await open(localDbPath, 'r');
    undo.defer(() => base.close());
    const database = await openDatabase(localDbPath);
    undo.defer(() => database.close());
    const wal = await open(`${localDbPath}-wal`, 'r');
    undo.defer(() => wal.close());
    const tenure = new Tenure({
      storeDir,
      taken,
      owner: this.#self,
      database: { base, wal, exclusively: database.exclusively },
      databaseBytes: (await base.stat()).size,
      clock,
      log,
      onOver: () => this.#lost(),
    });
    undo.defer(() => tenure.end());
    await onOpen(makeStore({ db: () => database.db, explain: (error) => error, close: async () => undefined }));
    await tenure.sync();
    undo.move();
    return { tenure, database, files: [wal, base] };
  }

  #lost(): void {
    const opened = this.#opened;
    if (opened === null || this.#dropping !== null) return;
    this.#opened = null;
    this.#dropping = this.#drop(opened).finally(() => {
      this.#dropping = null;
      this.#standBy();
    });
  }

  async #drop(opened: Opened): Promise<void> {
    const { log, onLost } = this.#input;
    await onLost().catch((error: unknown) =>
      log.error({ err: error }, 'what rested on a lost volume did not end in order'),
    );
    await this.#unused();
    await close(opened).catch((error: unknown) =>
      log.warn({ err: error }, 'the runtime database was not closed in order'),
    );
  }

  #unused(): Promise<void> {
    this.#whenUnused ??= Promise.withResolvers();
    const { promise } = this.#whenUnused;
    this.#tellUnused();
    return promise;
  }

  #tellUnused(): void {
    if (this.#uses > 0 || this.#whenUnused === null) return;
    this.#whenUnused.resolve();
    this.#whenUnused = null;
  }

  #standBy(): void {
    if (this.#isStopped || this.#standby !== null) return;
    this.#standby = setTimeout(() => {
      this.#standby = null;
      if (this.#opened !== null || this.#isStopped) return;
      const before = this.#fault;
      this.#tryOpen().then(
        () => this.#standBy(),
        (error: unknown) => {
          if (this.#fault !== before) this.#input.log.error({ err: error }, 'the volume cannot be taken over');
        },
      );
    }, standbyMs);
  }

  #requireOpened(): Opened {
    if (this.#opened !== null) return this.#opened;
    throw this.#isStopped ? shuttingDown() : this.#owner === null ? storeTakenOver() : storeOwnedElsewhere(this.#owner);
  }

  #whyClosed(): string {
    return (
      this.#fault ??
      (this.#owner === null ? 'the volume is not taken yet' : 'another instance is at work on the volume')
    );
  }

  #explain(error: unknown): unknown {
    const fault = explainSqlite(error);
    if (fault === null) return error;
    this.#localFault = fault.problem.message;
    this.#input.log.error({ err: error }, 'the runtime database refuses');
    if (fault.isDamage) this.#opened?.tenure.giveUp(fault.problem.message);
    return fault.problem;
  }
}

type Attempt = { kind: 'open' } | { kind: 'owned_elsewhere'; owner: string };

async function close({ tenure, database, files }: Opened): Promise<void> {
  await tenure.end();
  await database.close();
  for (const file of files) await file.close();
}

function rejectTakenOver(error: unknown): never {
  throw error instanceof TenureOver ? storeTakenOver() : error;
}

function unconfirmed(cause: unknown): Problem {
  const detail = 'the persistent volume does not say whether it is still ours; nothing is answered from memory';
  return new Problem('not_durable', detail, { cause });
}

function shuttingDown(): Problem {
  return new Problem('shutting_down', 'the server is shutting down', { retryAfterS: 5 });
}
