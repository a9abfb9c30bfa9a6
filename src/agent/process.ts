/**
 * One claude process: one live `query()` with streaming input.
 *
 * Invariants: however the process ends, nothing here rejects or surfaces as an unhandled rejection; once `end` has
 * resolved, neither the process nor anything that its tools started is left.
 */

import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { Options, Query, SDKMessage, SDKUserMessage, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import type { AgentPrompt } from './agent.ts';
import { Inbox } from './inbox.ts';
import { killLeftovers, markerVariable } from './leftovers.ts';
import { spawnClaude } from './spawn.ts';

export type ProcessDeps = {
  /** The SDK's `query`. */
  query: (input: { prompt: AsyncIterable<SDKUserMessage>; options: Options }) => Query;
  tieToParent: boolean;
  /** How long a process may take to leave by itself once its input is closed. */
  exitMs: number;
};

/** Characters of the process's stderr that are kept, from its end. */
const maxStderr = 4_000;

export class ClaudeProcess {
  readonly #marker = randomUUID();
  readonly #deps: ProcessDeps;
  readonly #query: Query;
  readonly #inbox = new Inbox<SDKUserMessage>();
  #child: ChildProcessWithoutNullStreams | null = null;
  #exited: Promise<string> = Promise.resolve('it was not started');
  #stderr = '';
  #leaving: Promise<void> | null = null;

  constructor(deps: ProcessDeps, options: Options) {
    this.#deps = deps;
    this.#query = deps.query({
      prompt: this.#inbox,
      options: { ...options, spawnClaudeCodeProcess: (spawn) => this.#spawn(spawn) },
    });
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

  /** The next message; null when there are no more, because the process left or because it died. */
  async next(): Promise<SDKMessage | null> {
    try {
      const { done, value } = await this.#query.next();
      return done ? null : value;
    } catch {
      // What the SDK throws only repeats how the process ended.
      return null;
    }
  }

  /** Asks the process to end its turn with a result. It may not comply: the caller sets a deadline. */
  async interrupt(): Promise<void> {
    try {
      await this.#query.interrupt();
    } catch {
      // The process went first, which is what was wanted.
    }
  }

  /** Kills the process now; `end` waits until it is gone. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Closes the input, lets the process leave by itself, kills what is left, and says how it ended. Idempotent. */
  async end(): Promise<string> {
    this.#leaving ??= this.#leave();
    await this.#leaving;
    return await this.#exited;
  }

  /** What it last said on stderr. For the log, never for a caller. */
  get stderr(): string {
    return this.#stderr;
  }

  #spawn(options: SpawnOptions): ChildProcessWithoutNullStreams {
    const env = { ...options.env, [markerVariable]: this.#marker };
    const child = spawnClaude({ ...options, env }, this.#deps.tieToParent);
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
    const late = setTimeout(() => this.kill(), this.#deps.exitMs);
    // It can only leave when what it still has to say is read.
    while ((await this.next()) !== null);
    await this.#exited;
    clearTimeout(late);
    this.#query.close();
    await killLeftovers(this.#marker);
  }
}

function isUuid(text: string): text is `${string}-${string}-${string}-${string}-${string}` {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}
