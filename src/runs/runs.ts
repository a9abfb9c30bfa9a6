/**
 * The runs of this instance: accepts them, executes them, and ends them at a shutdown.
 *
 * - A run that was accepted is executed to its end whether or not anybody waits for it.
 * - `start` answers only when the acceptance is on the volume; if it cannot be put there, nothing is left of it.
 * - After `stop` has begun nothing is accepted, and when it has resolved no run is under way.
 */

import { randomUUID } from 'node:crypto';
import type { RunOutcome } from '../domain/outcome.ts';
import { conversationBusy, conversationNotFound, Problem } from '../domain/problem.ts';
import type { RunOptions, RunSource } from '../domain/run.ts';
import { newId } from '../lib/ids.ts';
import type { AcceptedRun } from './ask-agent.ts';
import { EventLog } from './event-log.ts';
import { type AbortReason, type ExecuteDeps, executeRun } from './execute.ts';

export type RunsDeps = ExecuteDeps & {
  /** Names this instance in the runs that it executes. */
  owner: string;
};

export type StartRun = {
  source: RunSource;
  /** Null begins a new conversation. */
  conversationId: string | null;
  message: { sender: string; senderName: string; content: string };
  options: RunOptions;
};

/** A run under way. `outcome` rejects with a `Problem` when there is no answer; `events` tells the same. */
export type LiveRun = {
  id: string;
  conversationId: string;
  events: EventLog;
  outcome: Promise<RunOutcome>;
};

type ActiveRun = { abort: AbortController; ended: Promise<void> };

export class Runs {
  readonly #deps: RunsDeps;
  readonly #active = new Set<ActiveRun>();
  /** Calls of `start` that have not yet become active runs. */
  readonly #starting = new Set<Promise<unknown>>();
  #stopping: Promise<void> | null = null;
  #graceIsOver = false;

  constructor(deps: RunsDeps) {
    this.#deps = deps;
  }

  get active(): number {
    return this.#active.size;
  }

  async start(input: StartRun): Promise<LiveRun> {
    if (this.#stopping !== null) throw new Problem('shutting_down', 'the server is shutting down', { retryAfterS: 5 });
    const starting = this.#start(input);
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  /** Gives running runs `graceMs` to end, then interrupts the rest and settles them as cancelled. */
  stop(input: { graceMs: number }): Promise<void> {
    this.#stopping ??= this.#stop(input.graceMs);
    return this.#stopping;
  }

  async #start(input: StartRun): Promise<LiveRun> {
    const accepted = await this.#accept(input);
    const abort = new AbortController();
    const abortWith = (reason: AbortReason) => abort.abort(reason);
    const deadline = setTimeout(() => abortWith('timeout'), input.options.maxExecutionMs);
    const events = new EventLog();
    const outcome = executeRun(this.#deps, { accepted, options: input.options, signal: abort.signal }, events);
    const run: ActiveRun = {
      abort,
      // A rejected outcome has been logged and is in the event log; here only the end matters.
      ended: outcome.then(
        () => undefined,
        () => undefined,
      ),
    };
    this.#active.add(run);
    // It was accepted just before the shutdown, and its first sync outlasted the grace period.
    if (this.#graceIsOver) abortWith('shutdown');
    void run.ended.then(() => {
      clearTimeout(deadline);
      this.#active.delete(run);
    });
    return { id: accepted.run.id, conversationId: accepted.conversation.id, events, outcome };
  }

  async #accept(input: StartRun): Promise<AcceptedRun> {
    const { store, volume, clock, owner } = this.#deps;
    const accepted = await store.acceptRun({
      runId: newId('run'),
      source: input.source,
      conversationId: input.conversationId,
      newConversationId: newId('conv'),
      newSessionId: randomUUID(),
      message: { id: newId('msg'), ...input.message },
      owner,
      at: clock.now(),
    });
    const conversationId = input.conversationId ?? '';
    if (accepted.kind === 'not_found') throw conversationNotFound(conversationId);
    if (accepted.kind === 'busy') throw conversationBusy(conversationId);
    try {
      await volume.sync();
      return accepted;
    } catch (error) {
      await this.#withdraw(accepted);
      throw new Problem(
        'not_durable',
        'the request could not be written to the persistent volume; nothing was stored',
        {
          ...(input.conversationId === null ? {} : { conversationId: input.conversationId }),
          retryAfterS: 5,
          cause: error,
        },
      );
    }
  }

  /** Never rejects: the caller is told of the sync that failed, whatever else does. */
  async #withdraw({ run }: AcceptedRun): Promise<void> {
    const { store, volume, log } = this.#deps;
    try {
      await store.withdrawRun(run.id, run.fencingToken);
      // Another request's sync may have carried the run to the volume meanwhile.
      await volume.sync();
    } catch (error) {
      log.warn({ run_id: run.id, err: error }, 'what is left of a refused run goes with the next sync or restart');
    }
  }

  async #stop(graceMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([this.#allEnded(), grace]);
    clearTimeout(timer);
    this.#graceIsOver = true;
    for (const run of this.#active) run.abort.abort('shutdown' satisfies AbortReason);
    await this.#allEnded();
  }

  async #allEnded(): Promise<void> {
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#active].map((run) => run.ended));
  }
}
