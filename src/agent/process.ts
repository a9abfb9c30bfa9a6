/**
 * One claude process: started without a prompt, then one prompt after another.
 *
 *   starting ──► idle ──(send)──► in a turn ──(end of the turn)──► idle … ──► ended
 *
 * Invariants:
 * 1. Everything that the process says is read at all times. What it says in a turn is the turn's; a process that speaks like
 *    in a turn when there is none is killed.
 * 2. However the process ends, nothing here rejects or surfaces as an unhandled rejection.
 * 3. Once `end` has resolved, neither the process nor anything that its tools started is left.
 */

import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type {
  Options,
  Query,
  SDKMessage,
  SDKUserMessage,
  SpawnOptions,
  WarmQuery,
} from '@anthropic-ai/claude-agent-sdk';
import type { RunOptions } from '../domain/run.ts';
import { within } from '../lib/within.ts';
import type { AgentPrompt } from './agent.ts';
import { Inbox } from './inbox.ts';
import { type Belonging, findBelonging, killLeftovers, markedBy, markerVariable } from './leftovers.ts';
import { spawnClaude } from './spawn.ts';
import type { Changeable } from './spec.ts';

export type ProcessDeps = {
  /** The SDK's `startup`. */
  startup: (input: { options: Options; initializeTimeoutMs: number }) => Promise<WarmQuery>;
  startMs: number;
  /** How long a process may take to leave by itself once its input is closed. */
  exitMs: number;
  /** How long it may take to change an option. */
  changeMs: number;
};

/** Characters of the process's stderr that are kept, from its end. */
const maxStderr = 4_000;

export class ClaudeProcess {
  /** Whether it can take a prompt, once it is known. Never rejects. */
  readonly ready: Promise<boolean>;
  /** Resolves when it says nothing more, however it came to that. */
  readonly over: Promise<void>;
  readonly #marker = randomUUID();
  readonly #deps: ProcessDeps;
  readonly #prefix: string[];
  readonly #inbox = new Inbox<SDKUserMessage>();
  readonly #messages: SDKMessage[] = [];
  #wake = Promise.withResolvers<void>();
  readonly #over = Promise.withResolvers<void>();
  #query: Query | null = null;
  #child: ChildProcessWithoutNullStreams | null = null;
  #exited: Promise<string> = Promise.resolve('it was not started');
  /** It, and the sandbox around it. */
  #own: ReadonlySet<number> = new Set();
  #belonging: Belonging;
  #hasRehearsed = false;
  #inTurn = false;
  #isOver = false;
  #saidOutOfTurn = false;
  #stderr = '';
  #refusal = '';
  #leaving: Promise<void> | null = null;

  /** `prefix`: the command line in front of the program. */
  constructor(deps: ProcessDeps, { options, prefix }: { options: Options; prefix: string[] }) {
    this.#deps = deps;
    this.#prefix = prefix;
    this.#belonging = markedBy(this.#marker);
    this.over = this.#over.promise;
    this.ready = this.#start({ ...options, spawnClaudeCodeProcess: (spawn) => this.#spawn(spawn) });
  }

  /** Whether it may be given another prompt. */
  get isFit(): boolean {
    return this.#query !== null && !this.#isOver && !this.#saidOutOfTurn && this.#leaving === null;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** What it and the SDK last said of why it does not start or work. For the log, never for a caller. */
  get complaints(): string {
    return [this.#refusal, this.#stderr].filter((text) => text !== '').join('\n');
  }

  /** Changes what a live process can change. False when it did not take it, in which case it may have taken a part. */
  async change({ model, effort, thinking }: Partial<Changeable>): Promise<boolean> {
    const query = this.#query;
    if (query === null || (model !== undefined && this.#hasRehearsed)) return false;
    // Not by `setModel`, which first asks the model API whether there is such a model.
    const flags = {
      ...(model === undefined || model === null ? {} : { model }),
      ...(effort === undefined ? {} : { effortLevel: effort }),
    };
    const all = Promise.allSettled([
      ...(Object.keys(flags).length === 0 ? [] : [query.applyFlagSettings(flags)]),
      ...(thinking === undefined ? [] : [setThinking(query, thinking)]),
    ]);
    const settled = await within(this.#deps.changeMs, all);
    return settled?.every(({ status }) => status === 'fulfilled') ?? false;
  }

  /**
   * Has it put together what any first turn needs (system prompt, tools), which makes that begin some 20 ms sooner. The model API
   * is not asked. It keeps the tools' texts, which are written for the model that it has: that cannot be changed any more. Never rejects.
   */
  async rehearse(): Promise<void> {
    this.#hasRehearsed = true;
    await this.#query?.getContextUsage({ detail: 'summary' }).catch(() => undefined);
  }

  /** Begins a turn. */
  send(sessionId: string, prompt: AgentPrompt): void {
    if (!isUuid(prompt.id)) throw new Error(`a prompt's id is a UUID, not ${prompt.id}`);
    this.#inTurn = true;
    this.#inbox.push({
      type: 'user',
      message: { role: 'user', content: prompt.text },
      parent_tool_use_id: null,
      session_id: sessionId,
      uuid: prompt.id,
    });
  }

  /** The turn's next message; null when there are no more, because the process left or because it died. */
  async next(): Promise<SDKMessage | null> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      if (this.#isOver) return null;
      await this.#wake.promise;
    }
  }

  /** The turn has had its result. */
  endTurn(): void {
    this.#inTurn = false;
    for (const message of this.#messages.splice(0)) this.#take(message);
  }

  /** Asks the process to end its turn with a result. It may not comply: the caller sets a deadline. */
  async interrupt(): Promise<void> {
    try {
      await this.#query?.interrupt();
    } catch {
      // The process went first, which is what was wanted.
    }
  }

  /** Kills the process now; `end` waits until it is gone. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Ends what its tools have started, and leaves the process itself alone. */
  async endTools(): Promise<void> {
    await killLeftovers(this.#belonging, this.#own);
  }

  /** Closes the input, lets the process leave by itself, kills what is left, and says how it ended. Idempotent. */
  async end(): Promise<string> {
    this.#leaving ??= this.#leave();
    await this.#leaving;
    return await this.#exited;
  }

  async #start(options: Options): Promise<boolean> {
    try {
      const warm = await this.#deps.startup({ options, initializeTimeoutMs: this.#deps.startMs });
      await this.#findOwn();
      this.#query = warm.query(this.#inbox);
      void this.#read(this.#query);
      return this.#leaving === null;
    } catch (error) {
      this.#refusal = error instanceof Error ? error.message : String(error);
      this.#becomeOver();
      return false;
    }
  }

  async #read(query: Query): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await query.next();
        if (done) break;
        this.#take(value);
      }
    } catch {
      // What the SDK throws only repeats how the process ended.
    }
    this.#becomeOver();
  }

  #take(message: SDKMessage): void {
    if (this.#inTurn) {
      this.#messages.push(message);
      this.#notify();
    } else if (isOfTurn(message)) {
      this.#saidOutOfTurn = true;
      this.kill();
    }
  }

  #becomeOver(): void {
    this.#isOver = true;
    this.#over.resolve();
    this.#notify();
  }

  #notify(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #spawn(options: SpawnOptions): ChildProcessWithoutNullStreams {
    const env = { ...options.env, [markerVariable]: this.#marker };
    const child = spawnClaude({ ...options, env }, this.#prefix);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) =>
        resolve(signal ? `it was ended by ${signal}` : `it exited with code ${code}`),
      );
      child.once('error', () => resolve('it could not be started'));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxStderr);
    });
    // A pipe to a process that has just died fails with EPIPE; its exit tells the story.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.on('error', () => {});
    return child;
  }

  async #leave(): Promise<void> {
    this.#inbox.close();
    // One that has no turn to end yet is not asked.
    if (this.#query === null) this.kill();
    const late = setTimeout(() => this.kill(), this.#deps.exitMs);
    await this.#exited;
    clearTimeout(late);
    await this.ready;
    this.#query?.close();
    await killLeftovers(this.#belonging);
  }

  async #findOwn(): Promise<void> {
    const { own, belonging } = await findBelonging(this.#marker);
    this.#own = own;
    this.#belonging = belonging;
  }
}

async function setThinking(query: Query, thinking: RunOptions['thinking']): Promise<void> {
  if (thinking.type === 'disabled') await query.setMaxThinkingTokens(0, null);
  else await query.setMaxThinkingTokens(thinking.maxTokens, 'summarized');
}

/** What a process says only while it works on a prompt. */
function isOfTurn({ type }: SDKMessage): boolean {
  return type === 'assistant' || type === 'user' || type === 'stream_event' || type === 'result';
}

function isUuid(text: string): text is `${string}-${string}-${string}-${string}-${string}` {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}
