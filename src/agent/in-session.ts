/**
 * One run in a session: chooses the session, runs the prompt on a claude process, and begins afresh when the session
 * turns out to be unusable. A prompt is never run twice: only a process that refused the session before its first
 * model call is followed by another.
 */

import type { AgentEvent, AgentPrompt, AgentRequest, AgentResult } from './agent.ts';
import { cannotStart, decideOutcome, type Outcome } from './failure.ts';
import { type Performed, type PerformLimits, perform } from './perform.ts';
import { type PrepareDeps, type PrepareInput, prepare } from './prepare.ts';
import type { ClaudeProcess } from './process.ts';
import { decideSession, refusalOf, type Session } from './session.ts';
import type { StartSlots } from './start-slots.ts';
import { emptyTally, totalsOf } from './tally.ts';
import { holdsMessage, promptsIn, transcriptState } from './transcripts.ts';

export type SessionDeps = PrepareDeps & {
  limits: PerformLimits;
  slots: StartSlots;
  /** Takes the credential out of a text for the log. */
  redact: (text: string) => string;
};

type OnEvent = (event: AgentEvent) => void;

export async function runInSession(deps: SessionDeps, request: AgentRequest, onEvent: OnEvent): Promise<AgentResult> {
  const choice = decideSession(request, await transcriptState(deps.settings.configDir, request.sessionId));
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

/** `refused`: why the CLI did not open the session; null when it did, or when something else went wrong. */
type Once = { result: AgentResult; refused: string | null };

async function runOnce(deps: SessionDeps, input: PrepareInput, onEvent: OnEvent): Promise<Once> {
  const { request, prompt, session } = input;
  const notRun = (outcome: Outcome): Once => {
    const kept: Kept = { promptTaken: false, replyKept: true };
    return { result: toResult(session, outcome, nothingPerformed, kept), refused: null };
  };
  const prepared = await prepare(deps, input);
  if (prepared === null) return notRun({ outcome: 'error', problem: cannotStart() });
  const release = await deps.slots.take(request.signal);
  if (release === null) return notRun({ outcome: 'interrupted' });

  try {
    const claude = prepared.start();
    const { archiver } = prepared;
    const performed = await perform(deps.limits, {
      process: claude,
      sessionId: session.id,
      prompt,
      onMessage: (message) => archiver.observe(message),
      onEvent,
      onStarted: release,
      signal: request.signal,
    });
    await archiver.end();
    tell(deps, request, performed, claude);
    const outcome = decideOutcome({ ...performed, options: request.options });
    const kept = await whatIsKept(deps, { session, prompt, outcome, performed });
    const result = toResult(session, outcome, performed, kept);
    return {
      result: { ...result, warnings: [...prepared.warnings, ...result.warnings, ...archiver.warnings] },
      // Once the model has been asked, whatever is said is about something else.
      refused: performed.tally.model === null ? refusalOf(said(performed, claude)) : null,
    };
  } finally {
    release();
  }
}

/** Never rejects: a transcript that cannot be read now must not cost the answer. It counts as holding nothing. */
async function whatIsKept(
  { settings: { configDir }, log }: SessionDeps,
  ended: { session: Session; prompt: AgentPrompt; outcome: Outcome; performed: Performed },
): Promise<Kept> {
  const { session, prompt, outcome, performed } = ended;
  const succeeded = outcome.outcome === 'success';
  const { lastTextId } = performed.tally;
  try {
    const isTaken = async () => (await promptsIn(configDir, session.id, [prompt.id])).has(prompt.id);
    return {
      promptTaken: succeeded || (await isTaken()),
      replyKept: lastTextId === null || (await holdsMessage(configDir, session.id, lastTextId)),
    };
  } catch (error) {
    log.warn({ err: error }, 'the transcript cannot be read');
    return { promptTaken: succeeded, replyKept: false };
  }
}

function tell(deps: SessionDeps, request: AgentRequest, performed: Performed, claude: ClaudeProcess): void {
  if (performed.result !== null && !performed.result.is_error && performed.cut === null) return;
  const { cut, death, result } = performed;
  deps.log.warn(
    {
      run_id: request.runId,
      conversation_id: request.conversationId,
      cut,
      death,
      said: deps.redact(said(performed, claude)),
      terminal_reason: result?.terminal_reason,
    },
    'the agent was cut off or failed',
  );
}

/** All that the CLI said about what went wrong. */
function said({ result, tally }: Performed, claude: ClaudeProcess): string {
  const errors = result && 'errors' in result ? result.errors : [];
  return [...errors, tally.apiError?.text ?? '', claude.stderr].filter((text) => text !== '').join('\n');
}

const nothingPerformed: Performed = { result: null, cut: null, death: null, tally: emptyTally };

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
    numTurns: performed.result?.num_turns ?? 0,
    warnings: performed.tally.warnings,
  };
}
