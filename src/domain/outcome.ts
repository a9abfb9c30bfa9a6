/** How a run ended, as its caller is told. */

import type { OutboundMessage } from './conversation.ts';
import type { ProblemBody } from './problem.ts';
import type { TerminalRunStatus, Usage } from './run.ts';

export type ToolUse = { tool: string; input: unknown };

export type RunOutcome = RunEnd & Place;

/** `messageId`: the assistant's message, or the user's where no reply was stored. A task's isolated run has neither. */
type Place = { conversationId: string; messageId: string } | { conversationId: null; messageId: null };

type RunEnd = {
  runId: string;
  status: TerminalRunStatus;
  /** The text of the reply, whole or (after a timeout or a cancellation) as far as it came; null when there is none. */
  result: string | null;
  error: ProblemBody | null;
  model: string | null;
  sessionId: string | null;
  durationMs: number;
  usage: Usage;
  costUsd: number;
  numTurns: number;
  outboundMessages: OutboundMessage[];
  /** Whether the model's text (hidden parts included) or an outbound message held SESSION_END_MARKER. */
  sessionEndMarkerDetected: boolean;
  toolUses: ToolUse[];
  thinking: string;
  /** What did not fail the run but the caller should know, such as an MCP server that did not connect. */
  warnings: string[];
};
