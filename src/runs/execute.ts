/**
 * Executes one accepted run: agent → settle → sync → outcome. The one place where a run leaves `running` while its
 * instance lives.
 *
 * - Whatever happens in between, the run is settled exactly once, and its event log ends with `done` or `error`.
 * - `done` and a returned outcome mean that the outcome is on the volume.
 */

import type { AgentResult } from '../agent/agent.ts';
import type { RunOutcome } from '../domain/outcome.ts';
import { Problem, type ProblemBody } from '../domain/problem.ts';
import type { RunOptions } from '../domain/run.ts';
import type { Clock } from '../lib/clock.ts';
import { newId } from '../lib/ids.ts';
import type { AcceptedRun, SettleRun } from '../store/store.ts';
import { type AskDeps, askAgent } from './ask-agent.ts';
import type { EventLog } from './event-log.ts';
import { Recorder } from './recorder.ts';
import { decideSession, forgetRunSessions, type SettleDeps, settle, settleTask } from './settle.ts';

export type ExecuteDeps = AskDeps & {
  clock: Clock;
  endLater: SettleDeps['endLater'];
  settings: {
    /** `sender_name` of the agent's messages. */
    assistantName: string;
    /** Empty turns the detection off. */
    sessionEndMarker: string;
  };
};

/** Why a run was aborted: its own deadline, a shutdown, or another instance that took its task, or the whole store, over. */
export type AbortReason = 'timeout' | 'shutdown' | 'lease_lost' | 'store_lost';

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
  const { run, ask, claim } = input.accepted;
  const startedAt = performance.now();
  const recorder = new Recorder(events);
  const logFields = { run_id: run.id, conversation_id: run.conversationId };

  events.append({ type: 'start', conversationId: run.conversationId, messageId: run.userMessageId, runId: run.id });
  const result = await askAgent(deps, input, (event) => recorder.record(event));
  const droppedCharacters = recorder.end();
  const warnings = [...result.warnings];
  if (droppedCharacters > 0)
    warnings.push(`the reply ended inside an <internal> block; ${droppedCharacters} characters of it are not shown`);
  if (result.freshBecause !== null)
    deps.log.warn(
      { ...logFields, reason: result.freshBecause },
      'the conversation goes on in a fresh session, told of the stored messages',
    );

  const { status, error } = decideStatus(result, input.signal);
  const text = recorder.text.trim() === '' ? null : recorder.text;
  const reply =
    ask.kind === 'conversation' && status !== 'error' && text !== null
      ? { id: newId('msg'), sender: 'assistant', senderName: deps.settings.assistantName, content: text }
      : null;
  const { sessionId, seen } = decideSession(result, { accepted: input.accepted, hasReply: reply !== null });
  if (reply !== null && !result.replyKept)
    deps.log.warn(
      logFields,
      'the session does not hold the reply; the next run begins a fresh one, told of the stored messages',
    );
  const at = deps.clock.now();
  const settled = await settle(
    deps,
    {
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
      task: claim === null ? null : settleTask(deps, { claim, status, error, result: text, at }),
      at,
    },
    events,
  );
  for (const { text: sent, sender } of settled.outbound) events.append({ type: 'chunk', text: sent, sender });
  if (ask.kind === 'alone') await forgetRunSessions(deps, run.id);
  return {
    runId: run.id,
    ...(ask.kind === 'conversation'
      ? { conversationId: ask.conversation.id, messageId: reply?.id ?? ask.message.id }
      : { conversationId: null, messageId: null }),
    status,
    result: text,
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
  if (reason === 'timeout')
    return {
      status: 'timeout',
      error: new Problem('run_timeout', 'the run reached its time limit; the text until then is kept').toBody(),
    };
  const by = reason === 'lease_lost' ? 'because its task was taken over' : 'by a shutdown';
  return {
    status: 'cancelled',
    error: new Problem('run_cancelled', `the run was ended ${by}; the text until then is kept`).toBody(),
  };
}

function hasMarker(marker: string, texts: string[]): boolean {
  return marker !== '' && texts.some((text) => text.includes(marker));
}
