/**
 * The port to the agent. `claude.ts` implements it with the Claude Agent SDK; nothing else knows the SDK.
 *
 * Rules that every implementation keeps:
 * - `run` never rejects for what a model, a process or a network does: that is an outcome. A rejection is a bug.
 * - When `signal` aborts, the run ends within seconds as `interrupted`, with no process of it left, tools' children included.
 * - `onEvent` is never called after `run` has resolved.
 * - The caller gives at most one run at a time to a session.
 */

import type { ProblemBody } from '../domain/problem.ts';
import type { RunOptions, Usage } from '../domain/run.ts';

export type AgentRequest = {
  runId: string;
  /** Null for a task's isolated run. */
  conversationId: string | null;
  /** UUID. With `resume` the session to go on with, otherwise the one to create. */
  sessionId: string;
  resume: boolean;
  prompt: AgentPrompt;
  /**
   * Called at most once, when `sessionId` cannot be resumed: the session to create in its place (a UUID), and the prompt
   * that tells it all that was said before.
   */
  freshSession: () => Promise<{ sessionId: string; prompt: AgentPrompt }>;
  options: RunOptions;
  signal: AbortSignal;
};

/** `id` is the UUID by which the session remembers this prompt. Never one that it has had: it would ignore it, and wait. */
export type AgentPrompt = { id: string; text: string };

/** In whose name the agent's tools act: the run that calls them. */
export type ToolContext = Pick<AgentRequest, 'runId' | 'conversationId'>;

export type AgentEvent =
  /** A message of the model begins; the text of earlier ones is final. `continues`: it goes on where that one was cut off. */
  | { type: 'message'; continues?: true }
  /** The current message begins anew (its stream broke): its text so far is void, and its thinking unless that is kept. */
  | { type: 'restart'; keepsThinking?: true }
  | { type: 'text'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'tool_use'; tool: string; input: unknown };

export type AgentResult = {
  outcome: 'success' | 'error' | 'interrupted';
  /** Set when the outcome is `error`. */
  error: ProblemBody | null;
  /** The session that now holds this prompt; not the one asked for when that one could not be resumed. */
  sessionId: string;
  /** Whether the session took the prompt up, so that the next run need not repeat it. */
  promptTaken: boolean;
  /** Whether the session's transcript holds what the model said last; true when it said nothing. */
  replyKept: boolean;
  /** Why the session asked for was not used; null when it was. */
  freshBecause: string | null;
  model: string | null;
  usage: Usage;
  costUsd: number;
  numTurns: number;
  warnings: string[];
};

export type AgentHealth = {
  ok: boolean;
  /** The version of the agent's program; empty until it is known. */
  version: string;
  /** Live processes that are ready for a new conversation. */
  warm: number;
  /** Whether what the agent runs is kept in a sandbox; null until it is known. */
  sandbox: 'on' | 'off' | null;
  processes: {
    /** Those that keep a conversation between its runs. */
    idle: number;
    inRuns: number;
    starting: number;
    /** Runs that wait for their turn to start one. */
    waiting: number;
    /** What all of them take, as of some seconds ago; null where that cannot be told. */
    memoryBytes: number | null;
  };
};

export interface Agent {
  /** How many runs may be under way or waiting at once. */
  readonly maxRuns: number;
  /** The session to begin a new conversation with: one that is ready for it, where there is. */
  newSessionId(): string;
  /** Such a run is about to come: what can be done ahead is begun. Without a run to follow, it is undone after a while. */
  expect(run: Pick<AgentRequest, 'sessionId' | 'resume' | 'options'>): void;
  run(request: AgentRequest, onEvent: (event: AgentEvent) => void): Promise<AgentResult>;
  /** Which of these prompts the session's transcript holds. A missing session holds none. */
  heldPrompts(sessionId: string, promptIds: string[]): Promise<Set<string>>;
  /** Deletes the session's transcript and whatever else the agent keeps of it, but for archives. Idempotent. */
  forget(sessionId: string): Promise<void>;
  /** Deletes what was archived of these sessions when they were compacted. Idempotent. */
  forgetArchives(sessionIds: string[]): Promise<void>;
  /** Another may go on with the sessions from now on: ends whatever holds one. Resolves when nothing of it is left. */
  letGo(): Promise<void>;
  health(): AgentHealth;
  /** Ends every process at once. Runs still under way end as `interrupted`. Idempotent. */
  stop(): Promise<void>;
}
