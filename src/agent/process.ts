/**
 * One claude process: one live `query()` with streaming input.
 *
 * Invariants: nothing here surfaces as an unhandled rejection, however the process ends; after `end` or `kill` has
 * resolved, neither the process nor anything that its tools started is left.
 */

import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Options, Query, SDKMessage, SDKUserMessage, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import type { AgentPrompt } from './agent.ts';
import { killLeftovers, markerVariable } from './leftovers.ts';
import { spawnClaude } from './spawn.ts';

export type QueryFunction = (input: { prompt: AsyncIterable<SDKUserMessage>; options: Options }) => Query;

export type ProcessDeps = {
  query: QueryFunction;
  tieToParent: boolean;
  /** How long a process may take to leave by itself once its input is closed. */
  exitMs: number;
};

/** Characters of the process's stderr that are kept, from its end. */
const maxStderr = 4_000;

export class ClaudeProcess {
  /** In the environment of the process and of whatever its tools start. */
  readonly marker: string = randomUUID();
  readonly #deps: ProcessDeps;
  readonly #query: Query;
  readonly #inbox = new Inbox();
  #child: ChildProcess | null = null;
  #exited: Promise<string> = Promise.resolve('it did not start');
  #stderr = '';
  #ended: Promise<void> | null = null;

  /** Starts the process. `toOptions` is given the function that spawns it. */
  constructor(deps: ProcessDeps, toOptions: (spawn: (options: SpawnOptions) => ChildProcessLike) => Options) {
    this.#deps = deps;
    this.#query = deps.query({ prompt: this.#inbox, options: toOptions((options) => this.#spawn(options)) });
  }

  send(sessionId: string, prompt: AgentPrompt): void {
    if (!isUuid(prompt.id)) throw new Error(`a prompt's id is a UUID, not ${prompt.id}`);
    this.#inbox.push({
      type: 'user',
      message: { role: 'user', content: prompt.text },
      parent_tool_use_id: null,
      session_id: sessionId,
      uuid: prompt.id,
    });
  }

  /** The next message; null when there are no more. Rejects when the process dies. */
  async next(): Promise<SDKMessage | null> {
    const { done, value } = await this.#query.next();
    return done ? null : value;
  }

  /** Asks the process to end its turn with a result. It may not comply: the caller sets the deadline. */
  async interrupt(): Promise<void> {
    try {
      await this.#query.interrupt();
    } catch {
      // It rejects when the process goes first, which is what was wanted.
    }
  }

  /** Closes the input, lets the process leave by itself, and kills what is left. */
  end(): Promise<void> {
    this.#inbox.close();
    this.#ended ??= this.#leave();
    return this.#ended;
  }

  /** Ends the process at once. */
  kill(): void {
    this.#inbox.close();
    this.#child?.kill('SIGKILL');
  }

  /** How the process ended; only once it has. */
  exit(): Promise<string> {
    return this.#exited;
  }

  /** What it last said on stderr. For the log, never for a caller. */
  get stderr(): string {
    return this.#stderr;
  }

  #spawn(options: SpawnOptions): ChildProcessLike {
    const env = { ...options.env, [markerVariable]: this.marker };
    const child = spawnClaude({ ...options, env }, this.#deps.tieToParent);
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(signal ? `ended by ${signal}` : `exit code ${code}`));
      child.once('error', (error) => resolve(error.message));
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxStderr);
    });
    // A pipe to a process that has just died fails with EPIPE; its exit tells the story.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.on('error', () => {});
    return child;
  }

  async #leave(): Promise<void> {
    const late = setTimeout(() => this.kill(), this.#deps.exitMs);
    await this.#drain();
    await this.#exited;
    clearTimeout(late);
    this.#query.close();
    await killLeftovers(this.marker);
  }

  /** The process can only leave when what it still has to say is read. */
  async #drain(): Promise<void> {
    try {
      while ((await this.next()) !== null);
    } catch {
      // It died instead; that is an end too.
    }
  }
}

type ChildProcessLike = ReturnType<typeof spawnClaude>;

/** The process's input: what is pushed, in order, until it is closed. */
class Inbox implements AsyncIterable<SDKUserMessage> {
  readonly #queue: SDKUserMessage[] = [];
  #closed = false;
  #wake = () => {};

  push(message: SDKUserMessage): void {
    this.#queue.push(message);
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<SDKUserMessage> {
    for (;;) {
      const next = this.#queue.shift();
      if (next) yield next;
      else if (this.#closed) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function isUuid(text: string): text is `${string}-${string}-${string}-${string}-${string}` {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
