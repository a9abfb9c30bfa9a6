/**
 * An MCP server that is a program of this machine, as a transport: a message a line over its stdin and stdout.
 *
 * Not the MCP library's own, which starts the program in our session, where Ctrl-C at the terminal reaches it, inherits some
 * of our environment, and takes up to four seconds to close without waiting for what it kills.
 *
 * Invariants: it has exactly the environment that it is given; once `close` has resolved, neither it nor anything that it
 * started is left (`leftovers.ts` says what escapes).
 */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { deserializeMessage, serializeMessage } from '@modelcontextprotocol/sdk/shared/stdio.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { JSONRPCMessage } from '@modelcontextprotocol/sdk/types.js';
import { within } from '../lib/within.ts';
import { killLeftovers, markedBy, markerVariable } from './leftovers.ts';

export type McpChildInput = {
  command: string;
  args: string[];
  env: Record<string, string>;
  cwd: string;
  /** The command line in front of it. */
  prefix: string[];
  /** One that never ends must not fill the memory. */
  maxMessageBytes: number;
};

/** Characters of its stderr that are kept, from the end. */
const maxStderr = 2_000;

/** For leaving by itself once its stdin is closed, and then again once it was asked by SIGTERM. */
const leaveMs = 250;

/** For what it said before it ended. A program that it has started may hold its stdout open for good. */
const drainMs = 100;

export class McpChild implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onerror?: (error: Error) => void;
  onclose?: () => void;
  readonly #input: McpChildInput;
  readonly #marker = randomUUID();
  readonly #line: Buffer[] = [];
  #lineBytes = 0;
  readonly #ended = Promise.withResolvers<void>();
  #child: ChildProcessWithoutNullStreams | null = null;
  #stderr = '';
  #closing: Promise<void> | null = null;

  constructor(input: McpChildInput) {
    this.#input = input;
  }

  async start(): Promise<void> {
    const { prefix, env, cwd } = this.#input;
    const [command = this.#input.command, ...args] = [...prefix, this.#input.command, ...this.#input.args];
    // A session of its own: it leaves when the run has ended, not when somebody presses Ctrl-C.
    const child = spawn(command, args, {
      cwd,
      env: { ...env, [markerVariable]: this.#marker },
      stdio: 'pipe',
      detached: true,
    });
    child.stdout.on('data', (chunk: Buffer) => this.#read(chunk));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-maxStderr);
    });
    // A pipe to a program that has just ended fails with EPIPE; its exit tells the story.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.on('error', () => undefined);
    this.#child = child;
    const started = Promise.withResolvers<void>();
    child.once('spawn', () => started.resolve());
    child.once('error', (error) => {
      this.onerror?.(error);
      started.reject(error);
      this.#end();
    });
    child.once('exit', (code, signal) => {
      const how = signal ? `was ended by ${signal}` : `exited with code ${code}`;
      setTimeout(() => this.#end(how), drainMs);
      child.once('close', () => this.#end(how));
    });
    await started.promise;
  }

  async send(message: JSONRPCMessage): Promise<void> {
    if (this.#child === null || this.#closing !== null) throw new Error('the program is not running');
    this.#child.stdin.write(serializeMessage(message));
  }

  async close(): Promise<void> {
    this.#closing ??= this.#leave();
    await this.#closing;
  }

  #read(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', start)) {
      this.#take(Buffer.concat([...this.#line.splice(0), chunk.subarray(start, end)]).toString());
      this.#lineBytes = 0;
      start = end + 1;
    }
    this.#line.push(chunk.subarray(start));
    this.#lineBytes += chunk.length - start;
    if (this.#lineBytes <= this.#input.maxMessageBytes) return;
    this.#line.length = 0;
    this.onerror?.(new Error('the MCP server sent a message that is too large'));
    this.#signal('SIGKILL');
  }

  #take(line: string): void {
    let message: JSONRPCMessage;
    try {
      message = deserializeMessage(line);
    } catch {
      // No message, such as what a program prints when it starts.
      return;
    }
    this.onmessage?.(message);
  }

  #end(how?: string): void {
    if (this.#child !== null && how !== undefined && this.#closing === null)
      this.onerror?.(new Error(`the program ${how}`, { cause: new Error(this.#stderr.trim()) }));
    this.#child = null;
    this.#ended.resolve();
    this.onclose?.();
    this.onclose = undefined;
  }

  async #leave(): Promise<void> {
    const ended = this.#ended.promise.then(() => true);
    if (this.#child !== null) {
      this.#child.stdin.end();
      if ((await within(leaveMs, ended)) === null) this.#signal('SIGTERM');
      if ((await within(leaveMs, ended)) === null) this.#signal('SIGKILL');
    }
    await killLeftovers(markedBy(this.#marker));
  }

  /** To it and to what it started in its session. */
  #signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It went by itself.
    }
  }
}
