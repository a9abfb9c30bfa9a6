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

import type { DatabaseSync } from 'node:sqlite';
import pLimit from 'p-limit';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { Rounds } from '../../lib/rounds.ts';
import { within } from '../../lib/within.ts';
import { flushBaton, isSameBaton, passBaton, readBaton } from './baton.ts';
import { type Chore, Chores } from './chores.ts';
import { describeFault } from './fault.ts';
import { Feed } from './feed.ts';
import { discard, linkForPeople, removeOutdated } from './generation.ts';
import type { Instance } from './instance.ts';
import { batonPath, folderPath, type Generation, nameOf, walPath } from './layout.ts';
import type { LeaseFile } from './lease.ts';
import { makeSnapshot, type RuntimeDatabase, type Snapshot } from './snapshot.ts';
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
  onOver: (reason: TenureOver) => void;
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
  #feed: Feed;
  readonly #chores = new Chores({
    due: () => this.#decideChore(),
    work: (chore) => (chore === 'snapshot' ? this.#snapshot() : this.#checkpoint()),
    failed: (error) => this.#choreFailed(error),
  });
  #mustSnapshot = false;
  #checkpointAtBytes = checkpointBytes;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = firstRetryMs;
  #over: TenureOver | null = null;
  #status: TenureStatus;

  constructor(input: TenureInput) {
    const { taken, storeDir, database, databaseBytes } = input;
    this.#input = input;
    this.#generation = taken.generation;
    this.#lease = taken.lease;
    this.#feed = new Feed(
      new WalReader(database.wal),
      new WalWriter(walPath(folderPath(storeDir, taken.generation)), taken.walEnd),
    );
    this.#status = {
      durable: true,
      epoch: taken.generation.number,
      lastSyncAt: null,
      fault: null,
      syncMs: null,
      databaseBytes,
      walBytes: this.#feed.writer.bytesFlushed,
      lastSnapshot: null,
    };
  }

  /** Rejects with `TenureOver` or `SyncFailed`. */
  sync(): Promise<void> {
    return this.#patiently(this.#flushes.join());
  }

  /** Looks whether the volume is still this instance's. Rejects as `sync` does. */
  look(): Promise<void> {
    return this.#patiently(this.#looks.join());
  }

  /**
   * What was read may be answered: it is on the volume, and that is still this instance's. While the volume cannot be written,
   * only the latter is asked for. Rejects as `sync` does.
   */
  confirm(): Promise<void> {
    return this.#status.durable ? this.sync() : this.look();
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
    this.#watch = isInUse ? setInterval(() => void this.look().catch(() => undefined), watchMs) : null;
  }

  /** Resolves when others can see it. */
  told(): Promise<void> {
    return this.#lease.written();
  }

  /** What is on local disk cannot be relied on. */
  giveUp(reason: string): void {
    this.#lose(new TenureOver(reason, 'given up'));
  }

  /** Resolves when nothing of it is at work. Idempotent. */
  async end(): Promise<void> {
    this.#over ??= new TenureOver('the tenure has ended', 'given up');
    this.#ending.abort();
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#watch !== null) clearInterval(this.#watch);
    await this.#chores.settled();
    await this.#alone(async () => {
      await this.#feed.writer.close();
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
              walBytes: this.#feed.writer.bytesFlushed,
            }),
      };
      this.#retryMs = firstRetryMs;
    } catch (error) {
      throw this.#fail(await this.#orLost(error));
    }
    this.#chores.begin();
  }

  /** Everything committed so far; returns how many bytes there were. */
  async #append(): Promise<number> {
    const appended = await this.#feed.append();
    this.#lease.noteFlushed(this.#feed.writer.bytesFlushed);
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
    throw this.#lose(new TenureOver('another instance has taken the volume over', 'taken'));
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
    if (this.#over !== null) throw this.#over;
  }

  /** The first reason stands. */
  #lose(reason: TenureOver): TenureOver {
    if (this.#over === null) {
      this.#over = reason;
      const { message } = reason;
      this.#status = { ...this.#status, durable: false, fault: message };
      this.#input.log.warn(
        { generation: nameOf(this.#generation), reason: message },
        'the volume is not ours any more',
      );
      this.#input.onOver(reason);
    }
    return this.#over;
  }

  #fail(error: unknown): Error {
    if (error instanceof TenureOver) return error;
    if (error instanceof RestartedElsewhere) return this.#lose(new TenureOver(error.message, 'given up'));
    if (error instanceof LogRemoved) this.#mustSnapshot = true;
    const failure = new SyncFailed(`${this.#input.storeDir} cannot be used: ${messageOf(error)}`, error);
    this.#status = { ...this.#status, durable: false, fault: describeFault(error) };
    this.#input.log.error({ err: failure }, 'sync failed');
    if (this.#mustSnapshot) this.#chores.begin();
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
    if (
      (await within(
        patienceMs,
        work.then(() => true),
      )) !== null
    )
      return;
    const fault = `the volume has not answered for ${patienceMs / 1000} s`;
    this.#status = { ...this.#status, durable: false, fault };
    this.#retryLater();
    throw new SyncFailed(`${this.#input.storeDir}: ${fault}`, null);
  }

  #decideChore(): Chore | null {
    if (this.#over !== null) return null;
    const { writer, source } = this.#feed;
    const snapshotBytes = Math.max(smallestSnapshotBytes, this.#status.databaseBytes * snapshotShare);
    if (this.#mustSnapshot || writer.wasFolded || writer.bytesFlushed > snapshotBytes) return 'snapshot';
    return source.bytesTaken < this.#checkpointAtBytes ? null : 'checkpoint';
  }

  async #choreFailed(error: unknown): Promise<void> {
    const cause = await this.#orLost(error);
    if (this.#over !== null) return;
    if (cause instanceof RestartedElsewhere) this.#lose(new TenureOver(cause.message, 'given up'));
    else
      this.#input.log.error(
        { err: cause },
        'a snapshot could not be made; the volume is whole without it, its log grows',
      );
  }

  /**
   * Folds the runtime database's log in. False when somebody else's reading keeps it from being all folded in. While the
   * connection is held nothing waits for the volume: whoever asks for health needs it too.
   */
  #checkpoint(): Promise<boolean> {
    return this.#alone(async () => {
      this.#requireHeld();
      // What is folded in reaches the volume through the log alone, unless a snapshot must follow.
      if (!this.#mustSnapshot) await this.#append();
      const isFolded = await this.#input.database.exclusively(async (connection) => {
        await this.#feed.keep();
        return this.#fold(connection);
      });
      const { size } = await this.#input.database.base.stat();
      this.#status = { ...this.#status, databaseBytes: size };
      if (!this.#mustSnapshot) await this.#append();
      return isFolded;
    });
  }

  /** Without waiting for somebody else's reading: that would stop the event loop. */
  #fold(connection: DatabaseSync): boolean {
    const waits = Number(connection.prepare('PRAGMA busy_timeout').get()?.timeout);
    connection.exec('PRAGMA busy_timeout = 0');
    try {
      const row = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
      if (row?.log === row?.checkpointed) this.#feed.source.expectRestart();
      const isFolded = row?.busy === 0;
      // What keeps it from being folded in may last: no use in trying at every sync.
      this.#checkpointAtBytes = checkpointBytes + (isFolded ? 0 : this.#feed.source.bytesTaken);
      return isFolded;
    } finally {
      connection.exec(`PRAGMA busy_timeout = ${waits}`);
    }
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
    await removeOutdated(storeDir, this.#generation, log);
  }

  async #passTo({ generation: to, feed, lease }: Snapshot): Promise<void> {
    const { storeDir } = this.#input;
    const leave = async () => {
      await feed.writer.close().catch(() => undefined);
      await lease.letGo();
    };
    try {
      this.#requireHeld();
      await feed.append();
      await (this.#isInUse ? lease.take() : lease.letGo());
    } catch (error) {
      await leave();
      await discard(storeDir, to);
      throw error;
    }
    this.#passingTo = to;
    try {
      const from = { generation: this.#generation, sealedFor: null };
      if (!(await passBaton(storeDir, from, { generation: to, sealedFor: null })))
        throw this.#lose(new TenureOver('another instance has taken the volume over', 'taken'));
    } catch (error) {
      // A file server may still do what it has not answered: on the old log nothing may be acknowledged any more.
      const over = this.#lose(
        error instanceof TenureOver
          ? error
          : new TenureOver(`the baton could not be passed on: ${messageOf(error)}`, 'given up'),
      );
      await leave();
      throw over;
    } finally {
      this.#passingTo = null;
    }
    const before = { writer: this.#feed.writer, lease: this.#lease };
    this.#isBatonFlushed = false;
    this.#mustSnapshot = false;
    this.#generation = to;
    this.#feed = feed;
    this.#lease = lease;
    this.#status = { ...this.#status, epoch: to.number, walBytes: feed.writer.bytesFlushed };
    // Idle or not may have changed while the lease was written.
    void (this.#isInUse ? lease.take() : lease.letGo());
    await before.lease.letGo();
    await before.writer.close().catch(() => undefined);
    await this.#flushBaton();
  }

  async #flushBaton(): Promise<void> {
    const { storeDir, log } = this.#input;
    await flushBaton(storeDir);
    this.#isBatonFlushed = true;
    // Before anything more is acknowledged, which people would not see.
    await linkForPeople(storeDir, { mayReplaceFile: false, log });
  }
}
