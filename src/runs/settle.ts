/**
 * Ends a run: in the database, on the volume, and for its task and its session.
 *
 * What could not be made durable was not delivered. What cannot be stored whole still ends the run.
 */

import { randomUUID } from 'node:crypto';
import type { Agent, AgentResult } from '../agent/agent.ts';
import { Problem, type ProblemBody } from '../domain/problem.ts';
import { noUsage } from '../domain/run.ts';
import { decideAfterRun, summarizeRun } from '../domain/task.ts';
import { durably } from '../lib/durable.ts';
import type { Log } from '../lib/log.ts';
import type { AcceptedRun, SettleOutcome, SettleRun, Store, TaskClaim } from '../store/store.ts';
import type { EventLog } from './event-log.ts';

export type SettleDeps = {
  store: Store;
  volume: { sync(): Promise<void> };
  agent: Agent;
  log: Log;
  /** Of a run whose end could not be stored: `end` is tried until it can. */
  endLater: (runId: string, end: () => Promise<void>) => void;
  settings: {
    /** IANA zone of tasks that name none. */
    timezone: string;
  };
};

export type Settled = Extract<SettleOutcome, { kind: 'settled' }>;

/** Rejects with a `Problem` when there is no answer to give. */
export async function settle(deps: SettleDeps, input: SettleRun, events: EventLog): Promise<Settled> {
  const settled = await deps.store.settleRun(input).catch((error: unknown) => abandon(deps, input, error));
  if (settled.kind === 'lost')
    throw new Problem('run_lost', 'another instance took this run over; look at the conversation and try again');
  // What is sent from here on is delivered with the next answer.
  events.closeOutbound(settled.outbound);
  const { conversationId } = settled.run;
  try {
    const failure = 'the answer could not be written to the persistent volume; try again later';
    await durably(() => deps.volume.sync(), failure, conversationId === null ? {} : { conversationId });
  } catch (error) {
    // A store that is another instance's keeps its own account of what was delivered.
    await undeliver(deps, settled).catch((cause: unknown) =>
      deps.log.warn({ run_id: input.runId, err: cause }, 'messages that were not delivered count as delivered'),
    );
    throw error;
  }
  return settled;
}

/** What the task keeps of its run, and when it is due next. */
export function settleTask(
  deps: SettleDeps,
  run: {
    claim: TaskClaim;
    status: SettleRun['status'];
    error: ProblemBody | null;
    result: string | null;
    at: string;
  },
): SettleRun['task'] {
  const { result } = run;
  const { task, slot, attempt } = run.claim;
  if (slot === null) return { result, lastResult: summarizeRun({ ...run, pausedBecause: null }), after: null };
  const { timezone } = deps.settings;
  const after = decideAfterRun(task, { status: run.status, slot, attempt, now: run.at, timezone });
  if (after.fault !== null)
    deps.log.warn({ task_id: task.id, reason: after.fault }, 'the task has no next time and is paused');
  if (run.status === 'cancelled' && after.nextRun !== slot)
    deps.log.error({ task_id: task.id, slot, attempts: attempt }, 'a slot of a task is given up');
  const lastResult = summarizeRun({ ...run, pausedBecause: after.fault });
  return { result, lastResult, after: { ...after, of: task } };
}

/**
 * The session that the conversation goes on with. One that never took the prompt does not take the place of the one
 * that it has. One that lacks the reply (a full MEMORY_DIR, a killed process) would go on without knowing it: an id
 * without a transcript in its place makes the next run begin afresh.
 */
export function decideSession(
  result: AgentResult,
  { accepted, hasReply }: { accepted: AcceptedRun; hasReply: boolean },
): { sessionId: string; seen: boolean } {
  if (hasReply && !result.replyKept) return { sessionId: randomUUID(), seen: false };
  return { sessionId: result.promptTaken ? result.sessionId : accepted.sessionId, seen: result.promptTaken };
}

/** Of an isolated run. Never rejects: what is left now goes at the next start. */
export async function forgetRunSessions({ store, agent, log }: SettleDeps, runId: string): Promise<void> {
  try {
    const sessionIds = await store.listSessions(runId);
    for (const sessionId of sessionIds) await agent.forget(sessionId);
    await store.forgetSessions(runId, sessionIds);
  } catch (error) {
    log.warn({ run_id: runId, err: error }, 'the transcript of an isolated run is left until the next start');
  }
}

/**
 * The reply could not be stored, on a full disk for example. The least that there is to write must still end the run, now
 * or later, or its conversation would stay busy until a restart.
 */
async function abandon(deps: SettleDeps, input: SettleRun, cause: unknown): Promise<never> {
  // The store is another instance's, and so is the end of the run.
  if (cause instanceof Problem && cause.code === 'store_owned_elsewhere') throw cause;
  const problem = cause instanceof Problem ? cause : new Problem('internal_error', 'internal error', { cause });
  deps.log.error({ run_id: input.runId, err: cause }, 'the reply could not be stored');
  const end = async () => {
    const settled = await deps.store.settleRun({
      ...input,
      status: 'error',
      reply: null,
      error: problem.toBody(),
      usage: noUsage,
      costUsd: 0,
      numTurns: 0,
      task: input.task === null ? null : { ...input.task, result: null, lastResult: `Error: ${problem.message}` },
    });
    if (settled.kind === 'settled') await undeliver(deps, settled);
  };
  await end().catch(() => deps.endLater(input.runId, end));
  throw problem;
}

async function undeliver({ store }: SettleDeps, { outbound }: Settled): Promise<void> {
  await store.undeliver(outbound.map(({ id }) => id));
}
