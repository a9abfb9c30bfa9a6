/**
 * The runs of this instance: accepts them, executes them, and ends them at a shutdown.
 *
 * - A run that was accepted is executed to its end whether or not anybody waits for it.
 * - `start…` answers only when the acceptance is on the volume; if it cannot be put there, nothing is left of it.
 * - A task's run holds the task's lease, and renews it, until it has ended.
 * - More runs than the agent can take are refused before anything is stored.
 * - After `stop` has begun nothing is accepted, and when it has resolved no run is under way. After `drop` runs may begin again.
 */

import { randomUUID } from 'node:crypto';
import type { OutboundMessage } from '../domain/conversation.ts';
import type { RunOutcome } from '../domain/outcome.ts';
import { conversationBusy, conversationNotFound, Problem } from '../domain/problem.ts';
import type { RunOptions } from '../domain/run.ts';
import type { Task } from '../domain/task.ts';
import { durably, withdraw } from '../lib/durable.ts';
import { newId } from '../lib/ids.ts';
import type { AcceptedRun, AddOutbound, ClaimOutcome, TaskClaim } from '../store/store.ts';
import { EventLog } from './event-log.ts';
import { type AbortReason, type ExecuteDeps, executeRun } from './execute.ts';
import { keepLease, leaseEnd } from './lease.ts';
import { Unended, type UnendedDeps } from './unended.ts';

export type RunsDeps = Omit<ExecuteDeps, 'endLater'> & {
  volume: UnendedDeps['volume'];
  /** Names this instance in the runs that it executes. */
  owner: string;
  /** How long a task stays claimed after its instance was last heard of. */
  leaseMs: number;
  /** Keeps the store open for a run that goes on after the request that began it; the function ends that. */
  hold: () => () => Promise<void>;
  /** Called when a run of a task has ended. */
  onTaskRunEnded: () => void;
};

export type StartRun = {
  /** Null begins a new conversation. */
  conversationId: string | null;
  message: { sender: string; senderName: string; content: string };
  options: RunOptions;
};

export type StartTaskRun = {
  taskId: string;
  /** The due time to run it for; null runs it now and leaves its schedule alone. */
  slot: string | null;
  message: { sender: string; senderName: string; render: (claim: TaskClaim) => string };
  options: (task: Task) => RunOptions;
};

/** A run under way. `outcome` rejects with a `Problem` when there is no answer; `events` tells the same. */
export type LiveRun = {
  id: string;
  events: EventLog;
  outcome: Promise<RunOutcome>;
  /** Resolves, after it, when nothing of the run is left to do. Never rejects. */
  ended: Promise<void>;
};

export type LiveChat = LiveRun & { conversationId: string };
export type LiveTaskRun = LiveRun & { claim: TaskClaim };

/** Why a task was not run; nothing was stored. */
export type NotClaimed = Exclude<ClaimOutcome, { kind: 'accepted' }>;

type ActiveRun = {
  id: string;
  conversationId: string | null;
  events: EventLog;
  abort: AbortController;
  ended: Promise<void>;
};

export class Runs {
  readonly #deps: RunsDeps & ExecuteDeps;
  readonly #unended: Unended;
  readonly #active = new Map<string, ActiveRun>();
  /** Calls of `start…` that have not yet become active runs. */
  readonly #starting = new Set<Promise<unknown>>();
  #stopping: Promise<void> | null = null;
  #graceIsOver = false;

  constructor(deps: RunsDeps) {
    this.#unended = new Unended(deps);
    this.#deps = { ...deps, endLater: (runId, end) => this.#unended.add(runId, end) };
  }

  get active(): number {
    return this.#active.size;
  }

  /** Takes the conversation, or begins one. Rejects with a `Problem` (404, 409, 503). */
  start(input: StartRun): Promise<LiveChat> {
    return this.#counted(async () => {
      const accepted = await this.#accept(input);
      return { ...this.#execute(accepted, input.options), conversationId: accepted.ask.conversation.id };
    });
  }

  /** Claims the task and, in a `group`, takes its conversation. Rejects with a `Problem` only for what is not the task's affair. */
  startTask(input: StartTaskRun): Promise<{ kind: 'started'; run: LiveTaskRun } | NotClaimed> {
    return this.#counted(async () => {
      const claimed = await this.#claim(input);
      if (claimed.kind !== 'accepted') return claimed;
      const { claim } = claimed;
      return { kind: 'started', run: { ...this.#execute(claimed, input.options(claim.task)), claim } };
    });
  }

  /**
   * A message for whoever waits for the run, or for the next answer of the conversation. It is on the volume before it is
   * told. Null when the run is over or the conversation unknown; rejects with a `Problem` (503), and then it is withdrawn.
   */
  async sendMessage(input: Pick<AddOutbound, 'from' | 'text' | 'sender'>): Promise<OutboundMessage | null> {
    const { store, volume, clock } = this.#deps;
    const message = await store.addOutbound({ ...input, id: newId('out'), at: clock.now() });
    if (message === null) return null;
    try {
      const failure =
        'the message could not be written to the persistent volume and was withdrawn; look before you send it again';
      await durably(
        () => volume.sync(),
        failure,
        message.conversationId === null ? {} : { conversationId: message.conversationId },
      );
    } catch (error) {
      await this.#withdraw(() => store.withdrawOutbound(message.id), { outbound_id: message.id });
      throw error;
    }
    for (const run of this.#active.values()) {
      const { from } = input;
      if ('runId' in from ? run.id === from.runId : run.conversationId === from.conversationId)
        run.events.tellOutbound(message);
    }
    return message;
  }

  /** Another instance has the store now: ends every run without settling it, and resolves when none is under way. */
  async drop(): Promise<void> {
    this.#abortAll('store_lost');
    // A run that was being accepted becomes active, or does not.
    await Promise.allSettled(this.#starting);
    this.#abortAll('store_lost');
    await this.#allEnded();
  }

  /** Gives running runs `graceMs` to end, then interrupts the rest and settles them as cancelled. */
  stop(input: { graceMs: number }): Promise<void> {
    this.#stopping ??= this.#stop(input.graceMs);
    return this.#stopping;
  }

  async #counted<T>(start: () => Promise<T>): Promise<T> {
    if (this.#stopping !== null) throw new Problem('shutting_down', 'the server is shutting down', { retryAfterS: 5 });
    const { maxRuns } = this.#deps.agent;
    if (this.#active.size + this.#starting.size >= maxRuns) {
      const detail = `${maxRuns} runs are under way or waiting, which is as many as this server takes; nothing was stored`;
      throw new Problem('overloaded', detail, { retryAfterS: 5 });
    }
    const starting = start();
    this.#starting.add(starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(starting);
    }
  }

  #execute(accepted: AcceptedRun, options: RunOptions): LiveRun {
    const { run, claim } = accepted;
    const abort = new AbortController();
    const abortWith = (reason: AbortReason) => abort.abort(reason);
    const deadline = setTimeout(() => abortWith('timeout'), options.maxExecutionMs);
    const lease = claim === null ? null : keepLease(this.#deps, claim, () => abortWith('lease_lost'));
    const release = this.#deps.hold();
    const events = new EventLog();
    const outcome = executeRun(this.#deps, { accepted, options, signal: abort.signal }, events);
    const end = async () => {
      clearTimeout(deadline);
      lease?.stop();
      this.#active.delete(run.id);
      if (claim !== null) this.#deps.onTaskRunEnded();
      await release();
    };
    // A rejected outcome has been logged and is in the event log; here only the end matters.
    const ended = outcome.then(end, end);
    this.#active.set(run.id, { id: run.id, conversationId: run.conversationId, events, abort, ended });
    // It was accepted just before the shutdown, and its first sync outlasted the grace period.
    if (this.#graceIsOver) abortWith('shutdown');
    return { id: run.id, events, outcome, ended };
  }

  async #accept(input: StartRun) {
    const { store, clock, owner, agent } = this.#deps;
    const { conversationId, options } = input;
    const accepted = await store.acceptRun({
      runId: newId('run'),
      conversationId,
      newConversationId: newId('conv'),
      newSessionId: conversationId === null ? agent.newSessionId() : randomUUID(),
      message: { id: newId('msg'), ...input.message },
      owner,
      at: clock.now(),
    });
    if (accepted.kind === 'not_found') throw conversationNotFound(conversationId ?? '');
    if (accepted.kind === 'busy') throw conversationBusy(conversationId ?? '');
    // Beside the sync: most of what a returning conversation waits for is the start of its process.
    agent.expect({ sessionId: accepted.sessionId, resume: conversationId !== null, options });
    await this.#syncAccepted(accepted, conversationId === null ? {} : { conversationId });
    return accepted;
  }

  async #claim({ taskId, slot, message, options }: StartTaskRun): Promise<ClaimOutcome> {
    const { store, clock, owner, leaseMs, agent } = this.#deps;
    const at = clock.now();
    const claimed = await store.claimTask({
      taskId,
      slot,
      runId: newId('run'),
      newSessionId: randomUUID(),
      message: { id: newId('msg'), ...message },
      owner,
      at,
      leaseExpiresAt: leaseEnd(at, leaseMs),
    });
    if (claimed.kind !== 'accepted') return claimed;
    const { ask, sessionId, claim } = claimed;
    if (ask.kind === 'conversation')
      agent.expect({ sessionId, resume: ask.conversation.messageCount > 1, options: options(claim.task) });
    await this.#syncAccepted(claimed, { taskId });
    return claimed;
  }

  async #syncAccepted({ run }: AcceptedRun, context: { conversationId?: string; taskId?: string }): Promise<void> {
    const { store, volume, endLater } = this.#deps;
    const undo = () => store.withdrawRun(run.id, run.fencingToken);
    try {
      const failure =
        'the request could not be written to the persistent volume and was withdrawn; look before you send it again';
      await durably(() => volume.sync(), failure, context);
    } catch (error) {
      const undoOrLater = () =>
        undo().catch((cause: unknown) => {
          endLater(run.id, undo);
          throw cause;
        });
      await this.#withdraw(undoOrLater, { run_id: run.id });
      throw error;
    }
  }

  /** Never rejects: the caller is told of the sync that failed, whatever else does. */
  async #withdraw(undo: () => Promise<void>, logFields: object): Promise<void> {
    const { volume, log } = this.#deps;
    try {
      await withdraw(undo, () => volume.sync());
    } catch (error) {
      log.warn({ ...logFields, err: error }, 'what is left of a refused request goes later');
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
    this.#abortAll('shutdown');
    await this.#allEnded();
    this.#unended.stop();
  }

  #abortAll(reason: AbortReason): void {
    for (const run of this.#active.values()) run.abort.abort(reason);
  }

  async #allEnded(): Promise<void> {
    await Promise.allSettled(this.#starting);
    await Promise.all([...this.#active.values()].map((run) => run.ended));
  }
}
