/**
 * One run in a session: chooses the session, runs the prompt on the session's process, and begins afresh when the session
 * turns out to be unusable. A prompt is never run twice: only a process that refused the session, or was dead before it was
 * given the prompt, is followed by another.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import type { AgentEvent, AgentPrompt, AgentRequest, AgentResult } from './agent.ts';
import { cannotStart, decideOutcome, type Outcome } from './failure.ts';
import type { Metered } from './gateway/meter.ts';
import type { LiveProcess } from './live-process.ts';
import { type Performed, type PerformLimits, perform } from './perform.ts';
import { type PrepareDeps, type Prepared, prepare } from './prepare.ts';
import type { Processes, Taken } from './processes.ts';
import { decideSession, refusalOf, type Session } from './session.ts';
import { emptyTally, totalsOf } from './tally.ts';
import { holdsMessage, promptsIn, transcriptState } from './transcripts.ts';

export type SessionDeps = PrepareDeps & {
  limits: PerformLimits & {
    /** How long what the CLI has said may take to its transcript. */
    transcriptMs: number;
  };
  processes: Processes;
  /** Takes the credential out of a text for the log. */
  redact: (text: string) => string;
};

type OnEvent = (event: AgentEvent) => void;

export async function runInSession(deps: SessionDeps, request: AgentRequest, onEvent: OnEvent): Promise<AgentResult> {
  const choice = decideSession(request, await transcriptState(deps.settings.sessionsDir, request.sessionId));
  if (choice.kind === 'fresh') return await beginAfresh(deps, request, onEvent, choice.because);
  const { prompt } = request;
  const { result, refused } = await runOnce(deps, { request, prompt, session: choice.session }, onEvent);
  return refused === null ? result : await beginAfresh(deps, request, onEvent, refused);
}

async function beginAfresh(
  deps: SessionDeps,
  request: AgentRequest,
  onEvent: OnEvent,
  because: string,
): Promise<AgentResult> {
  const { sessionId, prompt } = await request.freshSession();
  const { result } = await runOnce(deps, { request, prompt, session: { kind: 'create', id: sessionId } }, onEvent);
  return { ...result, freshBecause: because };
}

type RunInput = { request: AgentRequest; prompt: AgentPrompt; session: Session };

/** `refused`: why the CLI did not open the session; null when it did, or when something else went wrong. */
type Once = { result: AgentResult; refused: string | null };

async function runOnce(deps: SessionDeps, input: RunInput & { isSecond?: boolean }, onEvent: OnEvent): Promise<Once> {
  const { request, session } = input;
  const notRun = (outcome: Outcome, refused: string | null = null): Once => {
    const kept: Kept = { promptTaken: false, replyKept: true };
    return { result: toResult(session, outcome, nothingPerformed, kept), refused };
  };
  let prepared: Prepared;
  let taken: Taken;
  try {
    prepared = await prepare(deps, { session, run: request.options });
    taken = await deps.processes.take(prepared.wanted, request.signal);
  } catch (error) {
    deps.log.error({ run_id: request.runId, err: error }, 'the agent could not be prepared');
    return notRun({ outcome: 'error', problem: cannotStart() });
  }
  if (taken.kind === 'aborted') return notRun({ outcome: 'interrupted' });
  if (taken.kind === 'failed') {
    const { complaints } = taken;
    deps.log.warn({ run_id: request.runId, said: deps.redact(complaints) }, 'the claude process did not start');
    return notRun({ outcome: 'error', problem: cannotStart() }, refusalOf(complaints));
  }
  const { live } = taken;
  let ran: Awaited<ReturnType<typeof runOn>>;
  try {
    ran = await runOn(deps, { ...input, live }, onEvent);
  } catch (error) {
    // Whatever is wrong, the process is nobody's for ever otherwise.
    live.endRun();
    await deps.processes.discard(live);
    throw error;
  }
  // One that had died while it was idle, unnoticed. Once: what dies on each process is not tried for ever.
  if (ran.kind === 'not_begun') return await runOnce(deps, { ...input, isSecond: true }, onEvent);
  const { result } = ran;
  return { result: { ...result, warnings: [...prepared.warnings, ...result.warnings] }, refused: null };
}

/** On a process that is ready: it is kept for the next run when all went well, and is gone otherwise. */
async function runOn(
  deps: SessionDeps,
  input: RunInput & { live: LiveProcess; isSecond?: boolean },
  onEvent: OnEvent,
): Promise<{ kind: 'ran'; result: AgentResult } | { kind: 'not_begun' }> {
  const { request, prompt, session, live } = input;
  const archiver = live.beginRun(request, prompt);
  const performed = await perform(deps.limits, {
    process: live.process,
    sessionId: session.id,
    prompt,
    onMessage: (message) => archiver.observe(message),
    onEvent,
    signal: request.signal,
  });
  await archiver.end();
  live.endRun();
  const endedWell = performed.result !== null && !performed.result.is_error && performed.cut === null;
  if (endedWell && performed.tally.usedTools) await live.process.endTools();
  const death = endedWell ? null : await deps.processes.discard(live);
  if (!input.isSecond && !performed.begun && performed.cut === null) return { kind: 'not_begun' };
  if (!endedWell) tell(deps, request, { ...performed, death }, live);
  const metered = live.pass.takeUsage();
  const outcome = decideOutcome({ ...performed, death, options: request.options });
  const kept = await whatIsKept(deps, { session, prompt, outcome, performed, isLive: endedWell });
  // One that does not write its transcript is no good.
  if (endedWell && !kept.replyKept) await deps.processes.discard(live);
  else if (endedWell) await deps.processes.giveBack(live);
  const result = toResult(session, outcome, performed, kept);
  const warnings = [...result.warnings, ...archiver.warnings];
  return { kind: 'ran', result: { ...result, ...toTotals(metered, result), warnings } };
}

/** What has passed the gateway is what is paid for; of a price that it does not know the CLI may have an estimate. */
function toTotals(
  metered: Metered,
  told: Pick<AgentResult, 'usage' | 'costUsd'>,
): Pick<AgentResult, 'usage' | 'costUsd'> {
  if (metered.models.length === 0) return { usage: told.usage, costUsd: told.costUsd };
  return { usage: metered.usage, costUsd: metered.costUsd ?? told.costUsd };
}

/** Never rejects: a transcript that cannot be read now must not cost the answer. It counts as holding nothing. */
async function whatIsKept(
  { settings: { sessionsDir }, limits, log }: SessionDeps,
  ended: { session: Session; prompt: AgentPrompt; outcome: Outcome; performed: Performed; isLive: boolean },
): Promise<Kept> {
  const { session, prompt, outcome, performed, isLive } = ended;
  const succeeded = outcome.outcome === 'success';
  const { lastTextId } = performed.tally;
  try {
    const isTaken = async () => (await promptsIn(sessionsDir, session.id, [prompt.id])).has(prompt.id);
    const isHeld = () => lastTextId === null || holdsMessage(sessionsDir, session.id, lastTextId);
    return {
      promptTaken: succeeded || (await isTaken()),
      // One that is gone has written all that it ever will; a live one may do so a moment after its result.
      replyKept: isLive ? await becomesTrue(isHeld, limits.transcriptMs) : await isHeld(),
    };
  } catch (error) {
    log.warn({ err: error }, 'the transcript cannot be read');
    return { promptTaken: succeeded, replyKept: false };
  }
}

const lookAgainMs = 5;

async function becomesTrue(look: () => boolean | Promise<boolean>, maxMs: number): Promise<boolean> {
  for (let leftMs = maxMs; leftMs > 0; leftMs -= lookAgainMs) {
    if (await look()) return true;
    await sleep(lookAgainMs);
  }
  return await look();
}

function tell(deps: SessionDeps, request: AgentRequest, performed: Ended, live: LiveProcess): void {
  const { cut, death, result } = performed;
  deps.log.warn(
    {
      run_id: request.runId,
      conversation_id: request.conversationId,
      cut,
      death,
      said: deps.redact(said(performed, live)),
      terminal_reason: result?.terminal_reason,
    },
    'the agent was cut off or failed',
  );
}

/** All that the CLI said about what went wrong. */
function said({ result, tally }: Performed, live: LiveProcess): string {
  const errors = result && 'errors' in result ? result.errors : [];
  return [...errors, tally.apiError?.text ?? '', live.process.complaints].filter((text) => text !== '').join('\n');
}

type Ended = Performed & { death: string | null };

const nothingPerformed: Performed = { result: null, cut: null, begun: false, tally: emptyTally };

/** What the session's transcript holds of the run. */
type Kept = Pick<AgentResult, 'promptTaken' | 'replyKept'>;

function toResult(session: Session, outcome: Outcome, performed: Performed, kept: Kept): AgentResult {
  return {
    outcome: outcome.outcome,
    error: outcome.outcome === 'error' ? outcome.problem.toBody() : null,
    sessionId: session.id,
    ...kept,
    freshBecause: null,
    model: performed.tally.model,
    ...totalsOf(performed.tally, performed.result),
    numTurns: turnsOf(performed),
    warnings: performed.tally.warnings,
  };
}

/** The result of a run that was cut off counts the words of that as a turn, and one that was killed has no result. */
function turnsOf({ result, cut, tally }: Performed): number {
  return result === null || cut !== null ? tally.turns : result.num_turns;
}
