/**
 * One run on one process, from its prompt to its result.
 *
 * Whatever cuts it short (the caller's signal, a process that says nothing, a model that falls silent, a refused key) asks
 * the process for its result first, because that saves the partial text in the transcript, and kills it if none comes. A
 * result that belongs to something else kills it too.
 */

import type { SDKMessage, SDKResultMessage } from '@anthropic-ai/claude-agent-sdk';
import type { AgentEvent, AgentPrompt } from './agent.ts';
import { Deadline } from './deadline.ts';
import { type Cut, isHopeless } from './failure.ts';
import type { ClaudeProcess } from './process.ts';
import { emptyTally, observe, type Tally } from './tally.ts';
import { beforeTheFirst, translate } from './translate.ts';

export type PerformLimits = {
  /** From the prompt to the process's first message. */
  firstMessageMs: number;
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
  signal: AbortSignal;
};

/** Without a result the process is of no further use. */
export type Performed = {
  result: SDKResultMessage | null;
  cut: Cut | null;
  /** Whether the process has taken up the prompt at all: it says so before it asks the model. */
  begun: boolean;
  tally: Tally;
};

export async function perform(limits: PerformLimits, input: PerformInput): Promise<Performed> {
  const { process, prompt, signal } = input;
  const cutter = new Cutter(process, limits.interruptMs);
  const onAbort = () => cutter.cut('aborted');
  signal.addEventListener('abort', onAbort, { once: true });
  const clock = new Deadline();
  clock.set(limits.firstMessageMs, () => cutter.cut('no_start'));

  let tally = emptyTally;
  let state = beforeTheFirst;
  let result: SDKResultMessage | null = null;
  let begun = false;
  try {
    process.send(input.sessionId, prompt);
    if (signal.aborted) onAbort();
    for (let message = await process.next(); message !== null; message = await process.next()) {
      begun = true;
      if (message.type === 'result' && !isResultOf(message, prompt)) {
        process.kill();
        continue;
      }
      input.onMessage(message);
      tally = observe(tally, message);
      const step = translate(state, message);
      state = step.state;
      for (const event of step.events) input.onEvent(event);

      if (message.type === 'result') {
        result = message;
        process.endTurn();
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
  }
  return { result, cut: cutter.reason, begun, tally };
}

/** A result names the prompts that it answers, or, of a turn that nobody asked for, where that came from. One that was cut off may name neither. */
function isResultOf({ user_message_uuids: ids = [], origin }: SDKResultMessage, prompt: AgentPrompt): boolean {
  return ids.length === 0 ? origin === undefined : ids.includes(prompt.id);
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
