/**
 * The claude processes of this server: spares for new conversations, live ones that keep a conversation's session, and who
 * may start how many.
 *
 *   spare:         starting → idle → a new conversation's
 *   conversation:  starting → idle ⇄ in a run → ended
 *
 * Invariants:
 * 1. A session has at most one process: the next is started when the one before is gone.
 * 2. A process in a run is nobody else's, and one that is given to a run is fit, and as the run wants it.
 * 3. There are never more than `maxProcesses`. Room is made by ending what is idle, longest unused first; where all are in
 *    runs, a start waits for its turn.
 * 4. After `stop` no process is left and none is started.
 */

import { randomUUID } from 'node:crypto';
import type { Log } from '../lib/log.ts';
import type { LiveProcess, Wanted } from './live-process.ts';
import { type Spare, Spares, type Started } from './spares.ts';
import type { StartSlots } from './start-slots.ts';
import { Turns } from './turns.ts';

export type ProcessesLimits = {
  spares: number;
  /** Idle ones that are kept. */
  conversations: number;
  idleMs: number;
  maxProcesses: number;
  /** For how long a spare is kept for whoever was told its session. */
  promiseMs: number;
};

export type ProcessesDeps = {
  limits: ProcessesLimits;
  slots: StartSlots;
  /** What a spare is started for: a run without wishes. Rejects when that cannot be read. */
  wantedBySpare: (sessionId: string) => Promise<Wanted>;
  start: (wanted: Wanted) => Promise<LiveProcess>;
  log: Log;
};

export type Taken =
  | { kind: 'taken'; live: LiveProcess }
  | { kind: 'aborted' }
  /** `complaints`: what it said, for the log. */
  | { kind: 'failed'; complaints: string };

export type ProcessCounts = { spares: number; idle: number; inRuns: number; starting: number; waiting: number };

type Entry = Spare & {
  sessionId: string;
  /** That it was started with. */
  model: string | null;
  state: 'starting' | 'idle' | 'in_run' | 'ending';
  /** Gives up a start that is under way. */
  abandon: AbortController;
  live: LiveProcess | null;
  usedAt: number;
  timer: NodeJS.Timeout | null;
  /** Resolves when it is gone. */
  gone: PromiseWithResolvers<void>;
};

export class Processes {
  readonly #deps: ProcessesDeps;
  /** By session. */
  readonly #entries = new Map<string, Entry>();
  /** Of those who want a session's process. */
  readonly #turns = new Turns();
  readonly #spares: Spares<Entry>;
  readonly #stopping = new AbortController();
  #tenure = new AbortController();
  #waiting = 0;
  /** Room that is taken by what is about to begin for a run. */
  #claimed = 0;
  #changed = Promise.withResolvers<void>();

  constructor(deps: ProcessesDeps) {
    this.#deps = deps;
    this.#spares = new Spares({
      count: deps.limits.spares,
      wantedBySpare: deps.wantedBySpare,
      there: () => [...this.#entries.values()].filter(({ isSpare, state }) => isSpare && state !== 'ending').length,
      hasRoom: () => this.#hasRoom,
      isRunStarting: () => this.#claimed > 0 || [...this.#entries.values()].some(isStartingForRun),
      begin: (wanted) => this.#begin(wanted, { isSpare: true, signal: this.#stopping.signal }),
      end: (spare) => this.#end(spare, { refill: false }),
      onChange: () => this.#notify(),
      log: deps.log,
    });
  }

  /** Starts the spares, and keeps them from now on. Resolves when they are on their way. */
  async keepSpares(): Promise<void> {
    await this.#spares.keep();
  }

  /** A session for a new conversation: that of a spare where there is one, which then waits for it a while. */
  newSessionId(): string {
    for (const entry of this.#entries.values()) {
      if (!entry.isSpare || entry.state === 'ending' || entry.timer !== null) continue;
      // Whoever was told may have been refused, or not: nobody else is told the same.
      entry.timer = setTimeout(() => void this.#end(entry), this.#deps.limits.promiseMs).unref();
      return entry.sessionId;
    }
    // One that could not be started, or had no room, is tried again.
    this.#spares.fillUpSoon();
    return randomUUID();
  }

  /** Gives the run a process, which is its own until `giveBack` or `discard`. Never rejects. */
  take(wanted: Wanted, signal: AbortSignal): Promise<Taken> {
    const ends = AbortSignal.any([signal, this.#stopping.signal]);
    const early = Promise.withResolvers<Taken>();
    const onAbort = () => early.resolve({ kind: 'aborted' });
    if (ends.aborted) onAbort();
    ends.addEventListener('abort', onAbort, { once: true });
    const taken = this.#turns.take(wanted.session.id, async (): Promise<Taken> => {
      // From here on it answers by itself, and soon: nothing that it takes may be lost.
      ends.removeEventListener('abort', onAbort);
      return ends.aborted ? { kind: 'aborted' } : await this.#take(wanted, ends);
    });
    return Promise.race([taken, early.promise]);
  }

  /** Aborts when the sessions may be somebody else's: what was begun for one of them by then is of no use. */
  get tenure(): AbortSignal {
    return this.#tenure.signal;
  }

  /** Has a process ready for a run that is about to ask for it. Never rejects. */
  async prepare(wanted: Wanted, tenure: AbortSignal): Promise<void> {
    // Such a one would be gone before the run came.
    if (this.#deps.limits.conversations === 0 || wanted.spec.once) return;
    await this.#turns.take(wanted.session.id, async () => {
      // It must not hold up the run itself, which may give up waiting for room.
      if (!this.#hasRoom && !this.#entries.has(wanted.session.id)) return;
      const taken = await this.#take(wanted, AbortSignal.any([tenure, this.#stopping.signal]));
      if (taken.kind !== 'taken') return;
      if (tenure.aborted) await this.discard(taken.live);
      else await this.giveBack(taken.live);
    });
  }

  /** The run has ended well: the process is kept for the next one, or is gone when this resolves. */
  async giveBack(live: LiveProcess): Promise<void> {
    const entry = this.#entries.get(live.sessionId);
    if (entry === undefined || entry.live !== live) return;
    entry.state = 'idle';
    entry.usedAt = performance.now();
    this.#notify();
    const { limits } = this.#deps;
    if (!live.isReusable || limits.conversations === 0 || this.#stopping.signal.aborted) return await this.#end(entry);
    entry.timer = setTimeout(() => void this.#end(entry), limits.idleMs).unref();
    for (const each of this.#idle().slice(0, -limits.conversations)) void this.#end(each);
  }

  /** Ends the process of the run, and resolves when nothing is left of it, with how it ended. */
  async discard(live: LiveProcess): Promise<string> {
    const entry = this.#entries.get(live.sessionId);
    if (entry?.live === live) await this.#end(entry);
    return await live.end();
  }

  /** Ends the session's process, unless it is in a run, and resolves when it is gone. */
  async endSession(sessionId: string): Promise<void> {
    await this.#turns.take(sessionId, async () => {
      const entry = this.#entries.get(sessionId);
      if (entry !== undefined && entry.state !== 'in_run') await this.#end(entry);
    });
  }

  /**
   * Ends all that have a conversation's session, but for those in runs. At once: somebody else may go on with the sessions, and
   * nothing more may be written into their transcripts.
   */
  async endConversations(): Promise<void> {
    this.#tenure.abort();
    this.#tenure = new AbortController();
    await this.#turns.settled();
    const ended = [...this.#entries.values()].filter((entry) => !entry.isSpare && entry.state !== 'in_run');
    for (const { live } of ended) live?.process.kill();
    await Promise.all(ended.map((entry) => this.#end(entry)));
  }

  /** Ends all. Runs that have one are ended by their owners. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#spares.stop();
    this.#notify();
    await this.#turns.settled();
    await Promise.all([...this.#entries.values()].map((entry) => this.#end(entry)));
  }

  counts(): ProcessCounts {
    const entries = [...this.#entries.values()];
    const count = (is: (entry: Entry) => boolean) => entries.filter(is).length;
    return {
      spares: count((entry) => entry.isSpare && entry.state === 'idle'),
      idle: count((entry) => !entry.isSpare && entry.state === 'idle'),
      inRuns: count((entry) => entry.state === 'in_run'),
      starting: count((entry) => entry.state === 'starting'),
      waiting: this.#waiting,
    };
  }

  /** The process ids of those that are there. */
  pids(): number[] {
    return [...this.#entries.values()].flatMap(({ live }) => live?.process.pid ?? []);
  }

  async #take(wanted: Wanted, signal: AbortSignal): Promise<Taken> {
    const there = this.#entries.get(wanted.session.id);
    if (there !== undefined) {
      const live = await this.#use(there, wanted, signal);
      if (signal.aborted && live !== null) {
        await this.giveBack(live);
        return { kind: 'aborted' };
      }
      if (live !== null) return { kind: 'taken', live };
    }
    if (!(await this.#claimRoom(signal))) return { kind: 'aborted' };
    this.#claimed -= 1;
    const entry = this.#begin(wanted, { isSpare: false, signal });
    const started = await entry.started;
    if ('complaints' in started) {
      await this.#end(entry);
      return signal.aborted ? { kind: 'aborted' } : { kind: 'failed', complaints: started.complaints };
    }
    if (signal.aborted) {
      await this.giveBack(started);
      return { kind: 'aborted' };
    }
    return { kind: 'taken', live: started };
  }

  /** A spare that is still starting would slow down the start that a run waits for. */
  #makeWay(): void {
    for (const entry of this.#entries.values()) {
      if (!entry.isSpare || entry.state !== 'starting' || entry.timer !== null) continue;
      entry.abandon.abort();
      void this.#end(entry);
    }
  }

  /** Null when it is of no use to the run; then it is gone. */
  async #use(entry: Entry, wanted: Wanted, signal: AbortSignal): Promise<LiveProcess | null> {
    // The caller gives a session one run at a time; whoever does not waits.
    while (entry.state === 'in_run' && !signal.aborted) await this.#changedOr(signal);
    if (entry.state === 'in_run') return null;
    if (entry.state === 'ending') {
      await entry.gone.promise;
      return null;
    }
    const wasSpare = entry.isSpare;
    this.#hold(entry);
    const live = await this.#startedFor(entry, signal);
    if (wasSpare) this.#spares.taken({ has: entry.model, wants: wanted.spec.model });
    if ('complaints' in live || !(await live.fits(wanted.spec))) {
      await this.#end(entry);
      return null;
    }
    return live;
  }

  /** What is still starting is given up with the signal: nobody else is to have it. */
  async #startedFor(entry: Entry, signal: AbortSignal): Promise<Started> {
    const giveUp = () => entry.abandon.abort();
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    const started = await entry.started;
    signal.removeEventListener('abort', giveUp);
    return started;
  }

  /** Takes it out of what may be ended. */
  #hold(entry: Entry): void {
    if (entry.timer !== null) clearTimeout(entry.timer);
    entry.timer = null;
    entry.isSpare = false;
    entry.state = 'in_run';
  }

  #begin(wanted: Wanted, { isSpare, signal }: { isSpare: boolean; signal: AbortSignal }): Entry {
    const begun = Promise.withResolvers<void>();
    const abandon = new AbortController();
    const entry: Entry = {
      sessionId: wanted.session.id,
      model: wanted.spec.model,
      isSpare,
      state: 'starting',
      begun,
      abandon,
      started: this.#start(wanted, {
        isSpare,
        signal: AbortSignal.any([signal, abandon.signal]),
        onBegun: begun.resolve,
      }),
      live: null,
      usedAt: performance.now(),
      timer: null,
      gone: Promise.withResolvers(),
    };
    this.#entries.set(entry.sessionId, entry);
    entry.started = entry.started.then((started) => {
      if (!('complaints' in started)) {
        entry.live = started;
        void this.#endOnceOver(entry, started);
      }
      // In the same turn: whoever looks for room must not find the process of a run idle.
      if (entry.state === 'starting') entry.state = isSpare ? 'idle' : 'in_run';
      this.#notify();
      return started;
    });
    return entry;
  }

  /** What dies while it is idle serves nobody. In a run, or while it ends, its owner sees to it. Never rejects. */
  async #endOnceOver(entry: Entry, live: LiveProcess): Promise<void> {
    await live.process.over;
    if (entry.state !== 'idle') return;
    await this.#end(entry, { refill: !entry.isSpare || this.#spares.died() });
  }

  async #start(
    wanted: Wanted,
    { isSpare, signal, onBegun }: { isSpare: boolean; signal: AbortSignal; onBegun: () => void },
  ): Promise<Started> {
    this.#waiting += 1;
    const release = await this.#deps.slots.take(signal).finally(() => {
      this.#waiting -= 1;
    });
    if (release === null) {
      onBegun();
      return { complaints: 'nobody waits for it any more' };
    }
    const startedAt = performance.now();
    try {
      const live = await this.#deps.start(wanted);
      onBegun();
      const giveUp = () => live.process.kill();
      signal.addEventListener('abort', giveUp, { once: true });
      if (signal.aborted) giveUp();
      const isReady = await live.process.ready;
      signal.removeEventListener('abort', giveUp);
      if (isReady) {
        const ms = Math.round(performance.now() - startedAt);
        this.#deps.log.debug({ pid: live.process.pid, spare: isSpare, ms }, 'a claude process is ready');
        return live;
      }
      const { complaints } = live.process;
      await live.end();
      return { complaints };
    } catch (error) {
      this.#deps.log.error({ err: error }, 'a claude process could not be started');
      return { complaints: '' };
    } finally {
      onBegun();
      release();
    }
  }

  get #hasRoom(): boolean {
    return this.#entries.size + this.#claimed + this.#spares.toCome < this.#deps.limits.maxProcesses;
  }

  /** Claims room for one more, for the caller to fill or to give back; false when the signal aborted before there was any. */
  async #claimRoom(signal: AbortSignal): Promise<boolean> {
    this.#waiting += 1;
    try {
      this.#makeWay();
      while (!signal.aborted && !this.#hasRoom) {
        const [oldest] = [...this.#idle(), ...this.#unpromised()];
        if (oldest !== undefined) await this.#end(oldest);
        else await this.#changedOr(signal);
      }
      if (signal.aborted) return false;
      // One may have begun while this waited.
      this.#makeWay();
      // In the same turn as the look: whoever waits beside finds it taken.
      this.#claimed += 1;
      return true;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Resolves at the next change of any process, or with the signal. */
  async #changedOr(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    await Promise.race([this.#changed.promise, aborted.promise]);
    // A signal that is listened to is kept, and with it whatever hears of it.
    signal.removeEventListener('abort', onAbort);
  }

  /** Conversations that are in no run, longest unused first. */
  #idle(): Entry[] {
    return [...this.#entries.values()]
      .filter((entry) => !entry.isSpare && entry.state === 'idle')
      .toSorted((a, b) => a.usedAt - b.usedAt);
  }

  #unpromised(): Entry[] {
    return [...this.#entries.values()].filter(
      ({ isSpare, state, timer }) => isSpare && state === 'idle' && timer === null,
    );
  }

  /** Resolves when it is gone. */
  async #end(entry: Entry, { refill = true } = {}): Promise<void> {
    if (entry.state === 'ending') return await entry.gone.promise;
    entry.state = 'ending';
    if (entry.timer !== null) clearTimeout(entry.timer);
    const started = await entry.started;
    if (!('complaints' in started)) await started.end();
    if (this.#entries.get(entry.sessionId) === entry) this.#entries.delete(entry.sessionId);
    entry.gone.resolve();
    this.#notify();
    // There is room again that a spare may have lacked.
    if (refill) this.#spares.fillUpSoon();
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

function isStartingForRun({ isSpare, state }: Entry): boolean {
  return !isSpare && state === 'starting';
}
