/**
 * A run: one accepted request for the agent to work.
 *
 *   running → success | timeout | error | cancelled | interrupted
 *
 * Terminal states never change. `interrupted` is set only by recovery, for a run whose instance is gone;
 * every other transition is made by the instance that holds the run's fencing token.
 */

import type { ProblemBody } from './problem.ts';

export const runSources = ['chat', 'task_check', 'task_trigger'] as const;
/** `task_check`: a slot that was due. `task_trigger`: a task that was asked for now. */
export type RunSource = (typeof runSources)[number];

const terminalRunStatuses = ['success', 'timeout', 'error', 'cancelled', 'interrupted'] as const;
export type TerminalRunStatus = (typeof terminalRunStatuses)[number];
export const runStatuses = ['running', ...terminalRunStatuses] as const;
export type RunStatus = (typeof runStatuses)[number];

/** Tokens of one run, subagents included, as the model API counted them. */
export type Usage = {
  inputTokens: number;
  outputTokens: number;
  cacheReadInputTokens: number;
  cacheCreationInputTokens: number;
};

export const noUsage: Usage = {
  inputTokens: 0,
  outputTokens: 0,
  cacheReadInputTokens: 0,
  cacheCreationInputTokens: 0,
};

export type Effort = 'low' | 'medium' | 'high' | 'xhigh' | 'max';

/** An MCP server that the agent may use in one run. */
export type McpServer =
  | { type: 'http' | 'sse'; url: string; headers?: Record<string, string> | undefined }
  | { type: 'stdio'; command: string; args?: string[] | undefined; env?: Record<string, string> | undefined };

/** What a caller may choose for one run; everything else comes from the settings. */
export type RunOptions = {
  model: string | null;
  maxExecutionMs: number;
  thinking: { type: 'disabled' } | { type: 'enabled'; maxTokens: number };
  effort: Effort | null;
  maxTurns: number | null;
  maxBudgetUsd: number | null;
  mcpServers: Record<string, McpServer>;
};

/** What the store keeps of a run. */
export type Run = {
  id: string;
  /** Null for a task's isolated run. */
  conversationId: string | null;
  source: RunSource;
  status: RunStatus;
  fencingToken: number;
  /** Null for an isolated run, which stores no messages. */
  userMessageId: string | null;
  assistantMessageId: string | null;
  model: string | null;
  /** The problem that a failed run ended with. */
  error: ProblemBody | null;
  usage: Usage;
  /** An estimate by the Agent SDK's price list. */
  costUsd: number;
  numTurns: number;
  startedAt: string;
  endedAt: string | null;
};
