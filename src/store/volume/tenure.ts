/**
 * The time in which the volume is this instance's: from its takeover until another takes over, or it ends.
 *
 *     sync:  read what was committed → append → flush → look at the baton
 *
 * - The look comes after the flush: whoever seals the baton before that look is told "no" to, whoever seals it later reads
 *   what was flushed. Looking first would leave a gap in between.
 * - Appends, checkpoints and the passing of the baton exclude each other.
 * - The runtime database's log is folded in (a checkpoint) only when all of it is on the volume, and not at all while a
 *   snapshot copies the base.
 * - What the tenure does in the background ends with it. Over once, it is over for good.
 */

import pLimit from 'p-limit';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import { Rounds } from '../../lib/rounds.ts';
import { flushBaton, isSameBaton, passBaton, readBaton } from './baton.ts';
import { describeFault } from './fault.ts';
import { messageOf } from './files.ts';
import { discard, linkForPeople, removeOutdated } from './generation.ts';
import type { Instance } from './instance.ts';
import { batonPath, folderPath, type Generation, nameOf, walPath } from './layout.ts';
import type { LeaseFile } from './lease.ts';
import { appendNew, makeSnapshot, type RuntimeDatabase, type Snapshot } from './snapshot.ts';
import type { TakenOver } from './take-over.ts';
import { SyncFailed, TenureOver, type VolumeStatus } from './volume.ts';
import { RestartedElsewhere, WalReader } from './wal-reader.ts';
import { LogRemoved, WalWriter } from './wal-writer.ts';

export type TenureInput = {
  storeDir: string;
  taken: TakenOver;
  owner: Instance;
  database: RuntimeDatabase;
  databaseBytes: number;
  clock: Clock;
  log: Log;
  /** Called once, when the tenure is over without having been ended. */
  onOver: () => void;
};

type TenureStatus = Pick<
  VolumeStatus,
  'durable' | 'epoch' | 'lastSyncAt' | 'fault' | 'syncMs' | 'databaseBytes' | 'walBytes' | 'lastSnapshot'
>;

/** Folded in this often, a checkpoint stops the event loop for a few milliseconds. */
const checkpointBytes = 4 * 1024 * 1024;

/** A snapshot writes the whole database: it is due when the log has grown by a good part of that. */
const smallestSnapshotBytes = 4 * 1024 * 1024;
const snapshotShare = 0.25;

/** A volume that takes longer than this does not answer. */
const patienceMs = 20_000;

const watchMs = 2_000;
const firstRetryMs = 1_000;
const longestRetryMs = 30_000;

export class Tenure {
  readonly #input: TenureInput;
  readonly #alone = pLimit(1);
  readonly #flushes = new Rounds(() => this.#alone(() => this.#flush()));
  readonly #looks = new Rounds(() => this.#look().catch((error: unknown) => Promise.reject(this.#fail(error))));
  readonly #ending = new AbortController();
  #generation: Generation;
  /** The generation that the baton is being passed to. */
  #passingTo: Generation | null = null;
  #isBatonFlushed = true;
  #lease: LeaseFile;
  /** A takeover is work. */
  #isInUse = true;
  #watch: NodeJS.Timeout | null = null;
  #writer: WalWriter;
  #source: WalReader;
  /** What is done in the background: a checkpoint or a snapshot. */
  #chore: Promise<void> | null = null;
  #mustSnapshot = false;
  /** The log's size at which the next snapshot is tried. */
  #snapshotAtBytes = 0;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #over: string | null = null;
  #status: TenureStatus;

  constructor(input: TenureInput) {
    const { taken, storeDir, database, databaseBytes } = input;
    this.#input = input;
    this.#generation = taken.generation;
    this.#lease = taken.lease;
    this.#writer = new WalWriter(walPath(folderPath(storeDir, taken.generation)), taken.walEnd);
    this.#source = new WalReader(database.wal);
    this.#status = {
      durable: true,
      epoch: taken.generation.number,
      lastSyncAt: null,
      fault: null,
      syncMs: null,
      databaseBytes,
      walBytes: this.#writer.bytesFlushed,
      lastSnapshot: null,
    };
  }

  /** Rejects with `TenureOver` or `SyncFailed`. */
  sync(): Promise<void> {
    return this.#patiently(this.#flushes.join());
  }

  /** Looks whether the volume is still this instance's. Rejects as `sync` does. */
  confirm(): Promise<void> {
    return this.#patiently(this.#looks.join());
  }

  status(): TenureStatus {
    return this.#status;
  }

  /** Tells others whether this instance is at work. */
  setInUse(isInUse: boolean): void {
    if (this.#isInUse === isInUse || this.#over !== null) return;
    this.#isInUse = isInUse;
    void (isInUse ? this.#lease.take() : this.#lease.letGo());
    if (this.#watch !== null) clearInterval(this.#watch);
    // A run may work for minutes without a sync; if the volume is lost meanwhile, it works in vain.
    this.#watch = isInUse ? setInterval(() => void this.confirm().catch(() => undefined), watchMs) : null;
  }

  /** What is on local disk cannot be relied on. */
  giveUp(reason: string): void {
    this.#lose(reason);
  }

  /** Resolves when nothing of it is at work. Idempotent. */
  async end(): Promise<void> {
    this.#over ??= 'it has ended';
    this.#ending.abort();
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#watch !== null) clearInterval(this.#watch);
    await this.#chore;
    await this.#alone(async () => {
      await this.#writer.close();
      await this.#lease.letGo();
    });
  }

  async #flush(): Promise<void> {
    const startedAt = performance.now();
    try {
      this.#requireHeld();
      if (this.#mustSnapshot) throw new LogRemoved();
      if (!this.#isBatonFlushed) await this.#flushBaton();
      const appended = await this.#append();
      await this.#look();
      this.#status = {
        ...this.#status,
        durable: true,
        fault: null,
        ...(appended === 0
          ? {}
          : {
              lastSyncAt: this.#input.clock.now(),
              syncMs: performance.now() - startedAt,
              walBytes: this.#writer.bytesFlushed,
            }),
      };
      this.#retryMs = firstRetryMs;
    } catch (error) {
      throw this.#fail(await this.#orLost(error));
    }
    this.#beginChore();
  }

  /** Everything committed so far; returns how many bytes there were. */
  async #append(): Promise<number> {
    const appended = await appendNew(this.#source, this.#writer);
    this.#lease.noteFlushed(this.#writer.bytesFlushed);
    return appended;
  }

  async #look(): Promise<void> {
    this.#requireHeld();
    const { storeDir } = this.#input;
    for (;;) {
      const before = this.#generation;
      const baton = await readBaton(storeDir);
      if (baton === null) throw new SyncFailed(`${batonPath(storeDir)} is not there; is the volume mounted?`, null);
      const own = [this.#generation, this.#passingTo].filter((generation) => generation !== null);
      if (own.some((generation) => isSameBaton(baton, { generation, sealedFor: null }))) return;
      // A snapshot may have passed the baton on between the listing and here.
      if (this.#generation === before) break;
    }
    throw this.#lose('another instance has taken the volume over');
  }

  /**
   * What fails may fail because another instance has taken over, and removed what it no longer needs; and of a volume that is
   * not mounted the log is not there either.
   */
  async #orLost(error: unknown): Promise<unknown> {
    if (error instanceof TenureOver) return error;
    return this.#look().then(
      () => error,
      (found: unknown) => (found instanceof TenureOver || error instanceof LogRemoved ? found : error),
    );
  }

  #requireHeld(): void {
    if (this.#over !== null) throw new TenureOver(this.#over);
  }

  #lose(reason: string): TenureOver {
    if (this.#over === null) {
      this.#over = reason;
      this.#status = { ...this.#status, durable: false, fault: reason };
      this.#input.log.warn({ generation: nameOf(this.#generation), reason }, 'the volume is not ours any more');
      this.#input.onOver();
    }
    return new TenureOver(reason);
  }

  #fail(error: unknown): Error {
    if (error instanceof TenureOver) return error;
    if (error instanceof RestartedElsewhere) return this.#lose(error.message);
    if (error instanceof LogRemoved) this.#mustSnapshot = true;
    const failure = new SyncFailed(`${this.#input.storeDir} cannot be used: ${messageOf(error)}`, error);
    this.#status = { ...this.#status, durable: false, fault: describeFault(error) };
    this.#input.log.error({ err: failure }, 'sync failed');
    if (this.#mustSnapshot) this.#beginChore();
    this.#retryLater();
    return failure;
  }

  /** Nobody may ask for anything meanwhile, and health should tell when the volume is back. */
  #retryLater(): void {
    if (this.#retry !== null || this.#over !== null) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs);
      void this.sync().catch(() => undefined);
    }, this.#retryMs);
    this.#retry.unref();
  }

  async #patiently(work: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const fault = `the volume has not answered for ${patienceMs / 1000} s`;
        this.#status = { ...this.#status, durable: false, fault };
        reject(new SyncFailed(`${this.#input.storeDir}: ${fault}`, null));
      }, patienceMs);
    });
    try {
      await Promise.race([work, tooLong]);
    } finally {
      clearTimeout(timer);
    }
  }

  #beginChore(): void {
    if (this.#chore !== null || this.#over !== null) return;
    const isSnapshotDue =
      this.#mustSnapshot ||
      this.#writer.wasFolded ||
      this.#writer.bytesFlushed > Math.max(this.#snapshotAtBytes, this.#snapshotThreshold());
    if (!isSnapshotDue && this.#source.bytesTaken < checkpointBytes) return;
    const work = isSnapshotDue ? this.#snapshot() : this.#checkpoint().then(() => undefined);
    this.#chore = work
      .catch(async (error: unknown) => this.#choreFailed(await this.#orLost(error)))
      .finally(() => {
        this.#chore = null;
      });
  }

  #choreFailed(error: unknown): void {
    if (this.#over !== null) return;
    if (error instanceof RestartedElsewhere) {
      this.#lose(error.message);
      return;
    }
    // The log goes on as it is; it is tried again when that has grown by as much once more.
    this.#snapshotAtBytes = this.#writer.bytesFlushed + this.#snapshotThreshold();
    this.#input.log.error(
      { err: error },
      'a snapshot could not be made; the volume is whole without it, its log grows',
    );
  }

  #snapshotThreshold(): number {
    return Math.max(smallestSnapshotBytes, this.#status.databaseBytes * snapshotShare);
  }

  /** Folds the runtime database's log in. False when somebody else's reading keeps it from being all folded in. */
  #checkpoint(): Promise<boolean> {
    return this.#alone(() =>
      this.#input.database.exclusively(async (connection) => {
        this.#requireHeld();
        // What is folded in reaches the volume through the log alone, unless a snapshot must follow.
        if (!this.#mustSnapshot) await this.#append();
        const row = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
        const isFolded = row?.log === row?.checkpointed;
        if (isFolded) this.#source.expectRestart();
        const { size } = await this.#input.database.base.stat();
        this.#status = { ...this.#status, databaseBytes: size };
        return isFolded && row?.busy === 0;
      }),
    );
  }

  async #snapshot(): Promise<void> {
    const { storeDir, database, log, clock } = this.#input;
    const startedAt = performance.now();
    if (!(await this.#checkpoint())) throw new Error('another program reads the runtime database');
    const snapshot = await makeSnapshot({
      storeDir,
      after: this.#generation,
      database,
      owner: this.#input.owner,
      signal: this.#ending.signal,
      log,
    });
    await this.#alone(() => this.#passTo(snapshot));
    const ms = Math.round(performance.now() - startedAt);
    this.#status = { ...this.#status, lastSnapshot: { at: clock.now(), ms } };
    log.info(
      { generation: nameOf(this.#generation), bytes: this.#status.databaseBytes, duration_ms: ms },
      'snapshot made',
    );
    await linkForPeople(storeDir, { mayReplaceFile: false, log });
    await removeOutdated(storeDir, this.#generation, log);
  }

  async #passTo({ generation: to, source, writer, lease }: Snapshot): Promise<void> {
    const { storeDir } = this.#input;
    try {
      this.#requireHeld();
      await appendNew(source, writer);
      await (this.#isInUse ? lease.take() : lease.letGo());
    } catch (error) {
      await writer.close().catch(() => undefined);
      await lease.letGo();
      await discard(storeDir, to);
      throw error;
    }
    this.#passingTo = to;
    try {
      const from = { generation: this.#generation, sealedFor: null };
      if (!(await passBaton(storeDir, from, { generation: to, sealedFor: null })))
        throw this.#lose('another instance has taken the volume over');
    } catch (error) {
      await writer.close().catch(() => undefined);
      await lease.letGo();
      // A file server may still do what it has not answered: on the old log nothing may be acknowledged any more.
      throw error instanceof TenureOver ? error : this.#lose(`the baton could not be passed on: ${messageOf(error)}`);
    } finally {
      this.#passingTo = null;
    }
    const before = { writer: this.#writer, lease: this.#lease };
    this.#isBatonFlushed = false;
    this.#mustSnapshot = false;
    this.#snapshotAtBytes = 0;
    this.#generation = to;
    this.#writer = writer;
    this.#source = source;
    this.#lease = lease;
    this.#status = { ...this.#status, epoch: to.number, walBytes: writer.bytesFlushed };
    // Idle or not may have changed while the lease was written.
    void (this.#isInUse ? lease.take() : lease.letGo());
    await before.lease.letGo();
    await before.writer.close().catch(() => undefined);
    await this.#flushBaton();
  }

  async #flushBaton(): Promise<void> {
    await flushBaton(this.#input.storeDir);
    this.#isBatonFlushed = true;
  }
}
