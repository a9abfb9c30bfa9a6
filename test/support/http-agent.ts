/**
 * The model's side of a run, scripted: the double behind the agent's port for tests of everything in front of it.
 *
 *     agent.next({ events: [{ type: 'text', text: 'Hi.' }] });            // the next run
 *     const hold = agent.hold({ before: [{ type: 'text', text: 'Par' }] }); // …or one that waits for the test
 *     await hold.reached; …; hold.release();
 *
 * A run without a script answers "Hello." As the port wants it, an abort ends a run as `interrupted`.
 */

import { randomUUID } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import type { Agent, AgentEvent, AgentHealth, AgentRequest, AgentResult } from '../../src/agent/agent.ts';

export type Script = {
  events?: AgentEvent[];
  result?: Partial<AgentResult>;
  /** The run rejects, which the port calls a bug. */
  reject?: unknown;
};

export type Hold = {
  /** The events before it were told; the run waits. */
  reached: Promise<AgentRequest>;
  /** More events of the waiting run. */
  emit(...events: AgentEvent[]): void;
  /** Ends the run. */
  release(script?: Script): void;
};

type Play = (request: AgentRequest, onEvent: (event: AgentEvent) => void) => Promise<Partial<AgentResult>>;

export class ScriptedAgent implements Agent {
  readonly requests: AgentRequest[] = [];
  readonly forgotten: string[] = [];
  readonly archivesForgotten: string[] = [];
  /** Before a transcript is forgotten; what it throws leaves the transcript there. */
  beforeForget: (sessionId: string) => void | Promise<void> = () => undefined;
  healthy: AgentHealth = {
    ok: true,
    version: '1.0.0-scripted',
    warm: 0,
    sandbox: 'off',
    processes: { idle: 0, inRuns: 0, starting: 0, waiting: 0, memoryBytes: null },
  };
  maxRuns = 1_000;
  /** Those that are ready for a new conversation. */
  readonly sessions: string[] = [];
  readonly expected: Parameters<Agent['expect']>[0][] = [];
  readonly #plays: Play[] = [];

  next(script: Script): void {
    this.#plays.push((_, onEvent) => playScript(script, onEvent));
  }

  hold(before: AgentEvent[] = []): Hold {
    const reached = Promise.withResolvers<AgentRequest>();
    const released = Promise.withResolvers<Script>();
    let emit: (event: AgentEvent) => void = () => undefined;
    this.#plays.push(async (request, onEvent) => {
      emit = onEvent;
      await playScript({ events: before }, onEvent);
      reached.resolve(request);
      return playScript(await released.promise, onEvent);
    });
    return {
      reached: reached.promise,
      emit: (...events) => events.forEach((event) => void emit(event)),
      release: (script = {}) => released.resolve(script),
    };
  }

  async run(request: AgentRequest, onEvent: (event: AgentEvent) => void): Promise<AgentResult> {
    this.requests.push(request);
    const play = this.#plays.shift() ?? ((_, tell) => playScript({ events: hello }, tell));
    let over = false;
    const played = play(request, (event) => {
      if (!over) onEvent(event);
    });
    const aborted = new Promise<Partial<AgentResult>>((resolve) => {
      if (request.signal.aborted) resolve({ outcome: 'interrupted' });
      request.signal.addEventListener('abort', () => resolve({ outcome: 'interrupted' }), { once: true });
    });
    try {
      return { ...plainResult(request), ...(await Promise.race([played, aborted])) };
    } finally {
      over = true;
    }
  }

  async heldPrompts(): Promise<Set<string>> {
    return new Set();
  }

  async forget(sessionId: string): Promise<void> {
    await this.beforeForget(sessionId);
    this.forgotten.push(sessionId);
  }

  async forgetArchives(sessionIds: string[]): Promise<void> {
    this.archivesForgotten.push(...sessionIds);
  }

  newSessionId(): string {
    return this.sessions.shift() ?? randomUUID();
  }

  expect(run: Parameters<Agent['expect']>[0]): void {
    this.expected.push(run);
  }

  async letGo(): Promise<void> {}

  health(): AgentHealth {
    return this.healthy;
  }

  async stop(): Promise<void> {}
}

const hello: AgentEvent[] = [{ type: 'message' }, { type: 'text', text: 'Hello.' }];

async function playScript(script: Script, onEvent: (event: AgentEvent) => void): Promise<Partial<AgentResult>> {
  for (const event of script.events ?? []) {
    // As from a process: each event in a turn of its own.
    await turn();
    onEvent(event);
  }
  if ('reject' in script) throw script.reject;
  return script.result ?? {};
}

function plainResult(request: AgentRequest): AgentResult {
  return {
    outcome: 'success',
    error: null,
    sessionId: request.sessionId,
    promptTaken: true,
    replyKept: true,
    freshBecause: null,
    model: 'scripted-model',
    usage: { inputTokens: 11, outputTokens: 7, cacheReadInputTokens: 5, cacheCreationInputTokens: 3 },
    costUsd: 0.0125,
    numTurns: 1,
    warnings: [],
  };
}
