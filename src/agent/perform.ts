/**
 * One run on one process: sends the prompt, tells what happens, and ends the process.
 *
 *   starting ── first message ──► working ── result ──► ended
 *
 * Whatever cuts it short (the caller's signal, a start that hangs, a model that falls silent, a refused key) asks the
 * process for its result first, because that saves the partial text in the transcript, and kills it if none comes.
 */

import type { SDKMessage, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import type { AgentEvent, AgentPrompt } from './agent.ts';
import { type Cut, isHopeless } from './failure.ts';
import type { ClaudeProcess } from './process.ts';
import { emptyTally, observe, type Tally } from './tally.ts';
import { beforeTheFirst, translate } from './translate.ts';

export type PerformLimits = {
  /** From the start of a process to its first message. */
  startMs: number;
  /** Between two messages of the process while it waits for the model API. */
  silenceMs: number;
  /** From asking the process to stop to killing it. */
  interruptMs: number;
};

export type PerformInput = {
  process: ClaudeProcess;
  sessionId: string;
  prompt: AgentPrompt;
  onMessage: (message: SDKMessage) => void;
  onEvent: (event: AgentEvent) => void;
  /** Called with the first message, or with the end if there is none. */
  onStarted: () => void;
  signal: AbortSignal;
};

export type Performed = {
  result: SDKResultMessage | null;
  cut: Cut | null;
  /** How the process ended, if that was before a result. */
  death: string | null;
  tally: Tally;
};

export async function perform(limits: PerformLimits, input: PerformInput): Promise<Performed> {
  const { process, signal } = input;
  const cutter = new Cutter(process, limits.interruptMs);
  const onAbort = () => cutter.cut('aborted');
  signal.addEventListener('abort', onAbort, { once: true });
  const clock = new Deadline();
  clock.set(limits.startMs, () => cutter.cut('no_start'));

  let tally = emptyTally;
  let state = beforeTheFirst;
  let result: SDKResultMessage | null = null;
  try {
    process.send(input.sessionId, input.prompt);
    if (signal.aborted) onAbort();
    for (let message = await process.next(); message !== null; message = await process.next()) {
      input.onStarted();
      input.onMessage(message);
      tally = observe(tally, message);
      const step = translate(state, message);
      state = step.state;
      for (const event of step.events) input.onEvent(event);

      if (message.type === 'result') {
        result = message;
        break;
      }
      if (isRefusedCredential(message)) cutter.cut('refused_credential');
      if (tally.awaitsModel) clock.set(limits.silenceMs, () => cutter.cut('silent_model'));
      else clock.clear();
    }
  } finally {
    clock.clear();
    signal.removeEventListener('abort', onAbort);
    cutter.disarm();
    input.onStarted();
    await process.end();
  }
  return { result, cut: cutter.reason, death: result === null ? await process.end() : null, tally };
}

/** The CLI tells of each retry; where retrying cannot help it would go on for minutes. */
function isRefusedCredential(message: SDKMessage): boolean {
  return message.type === 'system' && message.subtype === 'api_retry' && isHopeless(message.error_status);
}

/** Ends a run early, once, and remembers why. */
class Cutter {
  reason: Cut | null = null;
  readonly #process: ClaudeProcess;
  readonly #graceMs: number;
  readonly #grace = new Deadline();

  constructor(process: ClaudeProcess, graceMs: number) {
    this.#process = process;
    this.#graceMs = graceMs;
  }

  cut(reason: Cut): void {
    if (this.reason !== null) return;
    this.reason = reason;
    this.#grace.set(this.#graceMs, () => this.#process.kill());
    // It never rejects, and whether it worked shows in the messages.
    void this.#process.interrupt();
  }

  disarm(): void {
    this.#grace.clear();
  }
}

/** A timer of which only the last setting counts. */
class Deadline {
  #timer: NodeJS.Timeout | null = null;

  set(ms: number, onPassed: () => void): void {
    this.clear();
    this.#timer = setTimeout(onPassed, ms);
  }

  clear(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
