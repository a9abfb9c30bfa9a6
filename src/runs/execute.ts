/**
 * Executes one accepted run: agent → settle → sync → outcome. The one place where a run leaves `running` while its
 * instance lives.
 *
 * - Whatever happens in between, the run is settled exactly once, and its event log ends with `done` or `error`.
 * - `done` and a returned outcome mean that the outcome is on the volume.
 */

import { randomUUID } from 'node:crypto';
import type { AgentResult } from '../agent/agent.ts';
import type { RunOutcome } from '../domain/outcome.ts';
import { Problem, type ProblemBody } from '../domain/problem.ts';
import { noUsage, type RunOptions } from '../domain/run.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { SettleRun } from '../store/store.ts';
import { type AcceptedRun, type AskDeps, askAgent } from './ask-agent.ts';
import type { EventLog } from './event-log.ts';
import { Recorder } from './recorder.ts';

export type ExecuteDeps = AskDeps & {
  clock: Clock;
  settings: {
    /** `sender_name` of the agent's messages. */
    assistantName: string;
    /** Empty turns the detection off. */
    sessionEndMarker: string;
  };
};

/** Why a run was aborted: its own deadline, or a shutdown. */
export type AbortReason = 'timeout' | 'shutdown';

export async function executeRun(
  deps: ExecuteDeps,
  input: { accepted: AcceptedRun; options: RunOptions; signal: AbortSignal },
  events: EventLog,
): Promise<RunOutcome> {
  try {
    const outcome = await runAndSettle(deps, input, events);
    events.append({ type: 'done', outcome });
    return outcome;
  } catch (error) {
    const problem =
      error instanceof Problem ? error : new Problem('internal_error', 'internal error', { cause: error });
    deps.log.error({ run_id: input.accepted.run.id, code: problem.code, err: error }, 'the run was not answered');
    events.append({ type: 'error', problem });
    throw problem;
  }
}

async function runAndSettle(
  deps: ExecuteDeps,
  input: { accepted: AcceptedRun; options: RunOptions; signal: AbortSignal },
  events: EventLog,
): Promise<RunOutcome> {
  const { run, conversation, message } = input.accepted;
  const startedAt = performance.now();
  const recorder = new Recorder(events);

  events.append({ type: 'start', conversationId: conversation.id, messageId: message.id, runId: run.id });
  const result = await askAgent(deps, input, (event) => recorder.record(event));
  const droppedCharacters = recorder.end();
  const warnings = [...result.warnings];
  if (droppedCharacters > 0)
    warnings.push(`the reply ended inside an <internal> block; ${droppedCharacters} characters of it are not shown`);
  if (result.freshBecause !== null)
    deps.log.warn(
      { run_id: run.id, conversation_id: conversation.id, reason: result.freshBecause },
      'the conversation goes on in a fresh session, told of the stored messages',
    );

  const { status, error } = decideStatus(result, input.signal);
  const { text } = recorder;
  const keepsReply = status !== 'error' && text.trim() !== '';
  const reply = keepsReply
    ? { id: newId('msg'), sender: 'assistant', senderName: deps.settings.assistantName, content: text }
    : null;
  const { sessionId, seen } = decideSession(result, { accepted: input.accepted, hasReply: reply !== null });
  if (reply !== null && !result.replyKept)
    deps.log.warn(
      { run_id: run.id, conversation_id: conversation.id },
      'the session does not hold the reply; the next run begins a fresh one, told of the stored messages',
    );
  const settled = await settle(deps, {
    runId: run.id,
    fencingToken: run.fencingToken,
    status,
    reply,
    error,
    sessionId,
    seen,
    model: result.model,
    usage: result.usage,
    costUsd: result.costUsd,
    numTurns: result.numTurns,
    at: deps.clock.now(),
  });
  for (const outbound of settled.outbound) {
    events.append({ type: 'outbound', message: outbound });
    events.append({ type: 'chunk', text: outbound.text, sender: outbound.sender });
  }
  return {
    runId: run.id,
    conversationId: conversation.id,
    messageId: reply?.id ?? message.id,
    status,
    result: text.trim() === '' ? null : text,
    error,
    model: result.model,
    sessionId,
    durationMs: Math.round(performance.now() - startedAt),
    usage: result.usage,
    costUsd: result.costUsd,
    numTurns: result.numTurns,
    outboundMessages: settled.outbound,
    sessionEndMarkerDetected: hasMarker(deps.settings.sessionEndMarker, [
      recorder.raw,
      ...settled.outbound.map((outbound) => outbound.text),
    ]),
    toolUses: recorder.toolUses,
    thinking: recorder.thinking,
    warnings,
  };
}

/** The abort's reason names the status; an answer that was complete before the abort took effect stands. */
function decideStatus(
  result: AgentResult,
  signal: AbortSignal,
): { status: SettleRun['status']; error: ProblemBody | null } {
  if (result.outcome !== 'interrupted') return { status: result.outcome, error: result.error };
  const reason: unknown = signal.reason;
  return reason === 'timeout'
    ? {
        status: 'timeout',
        error: new Problem('run_timeout', 'the run reached its time limit; the text until then is kept').toBody(),
      }
    : {
        status: 'cancelled',
        error: new Problem('run_cancelled', 'the run was ended by a shutdown; the text until then is kept').toBody(),
      };
}

/**
 * The session that the conversation goes on with. One that never took the prompt does not take the place of the one
 * that it has. One that lacks the reply (a full MEMORY_DIR, a killed process) would go on without knowing it: an id
 * without a transcript in its place makes the next run begin afresh.
 */
function decideSession(
  result: AgentResult,
  { accepted, hasReply }: { accepted: AcceptedRun; hasReply: boolean },
): { sessionId: string; seen: boolean } {
  if (hasReply && !result.replyKept) return { sessionId: randomUUID(), seen: false };
  return { sessionId: result.promptTaken ? result.sessionId : accepted.sessionId, seen: result.promptTaken };
}

/** Settles and syncs. What could not be made durable was not delivered either. */
async function settle(deps: ExecuteDeps, input: SettleRun) {
  const settled = await deps.store.settleRun(input).catch((error: unknown) => abandon(deps, input, error));
  if (settled.kind === 'lost')
    throw new Problem('run_lost', 'another instance took this run over; look at the conversation and try again');
  try {
    await deps.volume.sync();
  } catch (error) {
    await deps.store.undeliver(settled.outbound.map((outbound) => outbound.id));
    throw new Problem('not_durable', 'the answer could not be written to the persistent volume; try again later', {
      conversationId: settled.run.conversationId,
      retryAfterS: 5,
      cause: error,
    });
  }
  return settled;
}

/**
 * The reply could not be stored, on a full disk for example. The least that there is to write must still end the run, or
 * its conversation would stay busy until a restart.
 */
async function abandon(deps: ExecuteDeps, input: SettleRun, cause: unknown): Promise<never> {
  const problem = new Problem('internal_error', 'internal error', { cause });
  deps.log.error({ run_id: input.runId, err: cause }, 'the reply could not be stored');
  const settled = await deps.store.settleRun({
    ...input,
    status: 'error',
    reply: null,
    error: problem.toBody(),
    usage: noUsage,
    costUsd: 0,
    numTurns: 0,
  });
  if (settled.kind === 'settled') await deps.store.undeliver(settled.outbound.map((outbound) => outbound.id));
  throw problem;
}

function hasMarker(marker: string, texts: string[]): boolean {
  return marker !== '' && texts.some((text) => text.includes(marker));
}
