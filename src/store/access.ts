/**
 * The store, for as long as the volume is this instance's; taken, let go of, lost and taken again.
 *
 *     standby → (taken over, hydrated, opened) → open → (lost: another instance took over) → dropped → standby
 *
 * - Whoever uses the store does it inside `use`. A change that finds the instance idle looks at the baton first: while it was
 *   idle, or frozen, another may have taken over. Nothing that was read or done is answered before it is on the volume, and
 *   a look after that.
 * - When the volume is lost, everything that rests on what is in memory or on local disk ends first (runs, their agents, the
 *   uses under way, which fail); then the runtime database is closed; only then is the volume taken again. So a use never
 *   crosses from one database to the next.
 * - In standby it is tried again and again to take over from an instance that is not at work, so that health tells the truth.
 * - Nobody waits for ever: neither for another instance, nor for a volume that does not answer.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Problem, storeOwnedElsewhere } from '../domain/problem.ts';
import { messageOf } from '../lib/error-code.ts';
import { timed } from '../lib/timings.ts';
import { within } from '../lib/within.ts';
import { type Opened, type OpeningInput, openVolume } from './opening.ts';
import { makeStore } from './queries/make-store.ts';
import { lossProblem, rejectLost, shuttingDown, unavailable, unconfirmed } from './refusals.ts';
import { explainSqlite } from './sqlite/explain.ts';
import type { Store } from './store.ts';
import { type AnyUse, type Use, Uses } from './uses.ts';
import { describeFault } from './volume/fault.ts';
import { type Instance, thisInstance } from './volume/instance.ts';
import type { Tenure } from './volume/tenure.ts';
import { TenureOver, type Volume, type VolumeStatus } from './volume/volume.ts';

export type AccessInput = Pick<OpeningInput, 'storeDir' | 'localDbPath' | 'clock' | 'log' | 'onOpen'> & {
  /** Ends whatever rests on a state that is lost. What it asks of the store meanwhile fails. */
  onLost: () => Promise<void>;
  /** Who this is; the process, unless there are several in one. */
  self?: Instance;
};

/** How long a request waits for an instance that is at work: longer than it takes to see that it is dead. */
const maxWaitMs = 8_000;
const lookAgainMs = 100;
/** A start that takes longer goes on beside the server, which says meanwhile what it waits for. */
const maxStartMs = 20_000;
const maxTellingMs = 250;
/** What was read in vain is read again this often. */
const maxReads = 3;
const firstStandbyMs = 1_000;
const longestStandbyMs = 30_000;
/** For answers that are on their way when the server stops. */
const lastUsesMs = 2_000;

export class StoreAccess implements Volume {
  readonly store: Store;
  readonly #input: AccessInput;
  readonly #self: Instance;
  #opened: Opened | null = null;
  #attempt: Promise<Attempt> | null = null;
  #dropping: Promise<void> | null = null;
  #stopping: Promise<boolean> | null = null;
  #standby: NodeJS.Timeout | null = null;
  /** After a fault the volume is left alone for a while: a takeover that fails at its end has taken it from somebody. */
  #standbyMs = firstStandbyMs;
  #notBefore = 0;
  /** Others see by the lease whether this instance is at work. */
  readonly #uses = new Uses(() => this.#opened?.tenure.setInUse(this.#uses.isAtWork));
  #owner: string | null = null;
  #fault: unknown = null;
  #loss: TenureOver | null = null;
  #localFault: string | null = null;
  #known = 0;
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
    const attempt = await within(maxStartMs, this.#tryOpen());
    if (attempt?.kind === 'open') return;
    const { log } = this.#input;
    if (attempt === null) log.error('the volume is not read yet, or does not answer; the server begins without it');
    else log.warn({ owner: attempt.owner }, 'another instance is at work on the volume; waiting for it');
    this.#standBy();
  }

  /**
   * Does the work with the volume ours and the store hydrated. Rejects with a `Problem` (503) when that cannot be had, or is lost
   * meanwhile. What only reads is then done again.
   */
  async use<T>(kind: Use, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      const leave = await this.#enter(kind);
      try {
        return await this.#inUse(leave, work);
      } catch (error) {
        if (kind === 'writes' || !isLoss(error) || attempt === maxReads) throw error;
      }
    }
  }

  /**
   * As `use`, for what can wait until the volume is ours anyway. Does nothing, and says so, when it is not, or not any more. Others
   * are not told of it: it begins by itself, and the instance may be frozen in the midst of it, when its answers are given.
   */
  async useIfOurs(work: () => Promise<void>): Promise<boolean> {
    if (this.#opened === null || this.#stopping !== null) return false;
    const leave = await this.#enterOpened('tidies');
    if (leave === null) return false;
    try {
      await this.#inUse(leave, work);
      return true;
    } catch (error) {
      if (isLoss(error)) return false;
      throw error;
    }
  }

  /** What was begun in a use goes on after it: until the function is called, which resolves when others are told. */
  hold(): () => Promise<void> {
    const leave = this.#uses.begin('writes');
    return () => {
      leave();
      return this.#told();
    };
  }

  async sync(): Promise<void> {
    await timed('sync', () => this.#requireOpened().tenure.sync().catch(rejectLost));
  }

  status(): VolumeStatus {
    const tenure = this.#opened?.tenure.status();
    return {
      durable: tenure?.durable === true && this.#localFault === null,
      epoch: tenure?.epoch ?? this.#known,
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
  stop(): Promise<boolean> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<boolean> {
    if (this.#standby !== null) clearTimeout(this.#standby);
    await within(lastUsesMs, this.#uses.none());
    if (this.#attempt !== null) await within(lastUsesMs, this.#attempt).catch(() => undefined);
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
    await opened.close();
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
      await this.#told();
    }
  }

  /**
   * With the answer this instance may be frozen, for ever: whoever comes next must not take it for one that is at work. They would
   * only wait, so a volume that is slow is not waited for.
   */
  async #told(): Promise<void> {
    const { tenure } = this.#opened ?? {};
    if (tenure !== undefined) await within(maxTellingMs, tenure.told());
  }

  async #enter(kind: Use): Promise<() => void> {
    const deadline = performance.now() + maxWaitMs;
    const came = this.#uses.expect(kind);
    try {
      for (;;) {
        if (this.#stopping !== null) throw shuttingDown();
        if (this.#opened === null) await timed('hydrate', () => this.#waitForVolume(deadline));
        const leave = await this.#enterOpened(kind);
        if (leave !== null) return leave;
      }
    } finally {
      came();
    }
  }

  /** Null when the volume turns out to be lost. */
  async #enterOpened(kind: AnyUse): Promise<(() => void) | null> {
    const opened = this.#opened;
    if (opened === null) return null;
    // Every use looks at the baton at its end, and what was only read is then read again: one look is enough for it. A change
    // would be refused; but somebody at work looks often enough.
    if (kind === 'reads' || this.#uses.writers > 0) return this.#uses.begin(kind);
    try {
      await opened.tenure.look();
    } catch (error) {
      if (!(error instanceof TenureOver)) throw unconfirmed(error);
      this.#lost(opened.tenure, error);
      return null;
    }
    return this.#opened === opened ? this.#uses.begin(kind) : null;
  }

  async #confirm(): Promise<void> {
    const { tenure } = this.#requireOpened();
    try {
      await tenure.confirm();
    } catch (error) {
      if (!(error instanceof TenureOver)) throw unconfirmed(error);
      this.#lost(tenure, error);
      throw lossProblem(error);
    }
  }

  async #waitForVolume(deadline: number): Promise<void> {
    let owner: string | null = null;
    for (;;) {
      if (this.#stopping !== null) throw shuttingDown();
      const leftMs = deadline - performance.now();
      const attempt = await within(Math.max(leftMs, 0), this.#tryOpen()).catch((error: unknown) => {
        throw error instanceof Problem ? error : unavailable(error);
      });
      if (attempt?.kind === 'open') return;
      // The last look may be cut short by the deadline.
      if (attempt === null) throw owner === null ? unavailable(null) : storeOwnedElsewhere(owner);
      owner = attempt.owner;
      if (performance.now() + lookAgainMs > deadline) throw storeOwnedElsewhere(owner);
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
    await this.#dropping;
    if (this.#opened !== null) return { kind: 'open' };
    if (this.#stopping !== null) throw shuttingDown();
    if (performance.now() < this.#notBefore) throw this.#fault;
    const startedAt = performance.now();
    const { log } = this.#input;
    try {
      const attempt = await openVolume({
        ...this.#input,
        self: this.#self,
        known: this.#known,
        onOver: (tenure, reason) => this.#lost(tenure, reason),
      });
      this.#fault = null;
      this.#standbyMs = firstStandbyMs;
      if (attempt.kind === 'owned_elsewhere') {
        this.#owner = attempt.owner;
        return attempt;
      }
      const { opened } = attempt;
      if (this.#stopping !== null) {
        await opened.close();
        throw shuttingDown();
      }
      const { generation, found, bytes } = opened;
      const ms = Math.round(performance.now() - startedAt);
      this.#owner = null;
      // All of it was just written anew.
      this.#localFault = null;
      this.#known = generation;
      this.#hydrate = { ms, bytes };
      this.#opened = opened;
      opened.tenure.setInUse(this.#uses.isAtWork);
      log.info({ generation, found, bytes, duration_ms: ms }, 'hydrated from the volume');
      return { kind: 'open' };
    } catch (error) {
      if (messageOf(error) !== messageOf(this.#fault)) log.error({ err: error }, 'the volume cannot be taken over');
      this.#fault = error;
      this.#owner = null;
      this.#notBefore = performance.now() + this.#standbyMs;
      this.#standbyMs = Math.min(this.#standbyMs * 2, longestStandbyMs);
      this.#standBy();
      throw error;
    }
  }

  /** Of the tenure that is open; what an earlier one still has to say does not matter. */
  #lost(tenure: Tenure, reason: TenureOver): void {
    const opened = this.#opened;
    if (opened?.tenure !== tenure) return;
    this.#opened = null;
    this.#loss = reason;
    this.#known = Math.max(this.#known, tenure.status().epoch);
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
    await this.#uses.none();
    await opened
      .close()
      .catch((error: unknown) => log.warn({ err: error }, 'the runtime database was not closed in order'));
  }

  #standBy(): void {
    if (this.#stopping !== null || this.#standby !== null || this.#opened !== null) return;
    this.#standby = setTimeout(() => {
      this.#standby = null;
      // What is wrong is in the log, and the next time is set.
      void this.#tryOpen()
        .catch(() => undefined)
        .then(() => this.#standBy());
    }, this.#standbyMs);
  }

  #requireOpened(): Opened {
    if (this.#opened !== null) return this.#opened;
    if (this.#stopping !== null) throw shuttingDown();
    throw this.#owner === null ? lossProblem(this.#loss) : storeOwnedElsewhere(this.#owner);
  }

  #whyClosed(): string {
    if (this.#owner !== null) return 'another instance is at work on the volume';
    return this.#fault === null ? 'the volume is being taken over' : describeFault(this.#fault);
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

function isLoss(error: unknown): boolean {
  return error instanceof Problem && error.code === 'store_owned_elsewhere';
}
