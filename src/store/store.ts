/**
 * The port to the database. Every method is one transaction; nothing outside `store/` sees a transaction.
 *
 * Rules that every implementation keeps:
 * - A conversation has at most one run with status `running`, and is `running` exactly while it has one.
 * - `fencingToken` grows by one each time a conversation is taken and never restarts. A settling write whose run is no
 *   longer `running` with that token changes nothing and says so.
 * - A refused call stores nothing.
 * Times are UTC ISO 8601 strings given by the caller; cursors are opaque strings that `list…` returned.
 */

import type { Conversation, Message, OutboundMessage, Page } from '../domain/conversation.ts';
import type { ProblemBody } from '../domain/problem.ts';
import type { Run, RunSource, TerminalRunStatus, Usage } from '../domain/run.ts';

export type AcceptRun = {
  runId: string;
  source: RunSource;
  /** Null creates a conversation with id `newConversationId`. */
  conversationId: string | null;
  newConversationId: string;
  /** UUID. Becomes the session of a conversation that has none yet, so that a transcript is never without an owner. */
  newSessionId: string;
  message: { id: string; sender: string; senderName: string; content: string };
  /** The instance that will execute the run. */
  owner: string;
  at: string;
};

export type AcceptOutcome =
  | {
      kind: 'accepted';
      /** As it is now: running, the new message counted. */
      conversation: Conversation;
      run: Run;
      message: Message;
      /** The conversation's session, which is `newSessionId` if it had none. */
      sessionId: string;
      /** User messages before this one that the session has not been told of (its run failed or was cut off). */
      unseen: Message[];
    }
  | { kind: 'not_found' }
  | { kind: 'busy' };

export type SettleRun = {
  runId: string;
  fencingToken: number;
  status: Exclude<TerminalRunStatus, 'interrupted'>;
  /** The reply to store as the assistant's message; null stores none. */
  reply: { id: string; sender: string; senderName: string; content: string } | null;
  error: ProblemBody | null;
  sessionId: string;
  /** Whether the session holds everything up to and including this run. */
  seen: boolean;
  model: string | null;
  usage: Usage;
  costUsd: number;
  numTurns: number;
  at: string;
};

export type SettleOutcome =
  /** `outbound`: the conversation's undelivered outbound messages, oldest first, now marked delivered. */
  | { kind: 'settled'; run: Run; outbound: OutboundMessage[] }
  /** The run is not ours to settle any more: recovered by another instance, or deleted with its conversation. */
  | { kind: 'lost' };

export type DeleteOutcome =
  /** `sessionIds`: every session that the conversation ever had; their transcripts are the caller's to delete. */
  { kind: 'deleted'; sessionIds: string[] } | { kind: 'not_found' } | { kind: 'busy' };

export type ListInput = { limit: number; cursor: string | null };

export interface Store {
  /** Finds or creates the conversation, takes it (idle → running), stores the user message and the run. */
  acceptRun(input: AcceptRun): Promise<AcceptOutcome>;
  /** Undoes an accepted run that could not be made durable: run, message and, if it was created for it, the conversation. */
  withdrawRun(runId: string, fencingToken: number): Promise<void>;
  /** Notes a session that a run is about to begin in the conversation's name, so that its deletion finds the transcript. */
  addSession(conversationId: string, sessionId: string): Promise<void>;
  /** Stores the reply, closes the run, releases the conversation, marks outbound messages delivered. */
  settleRun(input: SettleRun): Promise<SettleOutcome>;
  /** Takes back a delivery that did not happen, so that the next answer delivers them. */
  undeliver(outboundIds: string[]): Promise<void>;
  /** Runs that are `running` but not owned by `owner` become `interrupted`; their conversations become idle. Returns how many. */
  recoverRuns(input: { owner: string; at: string }): Promise<number>;
  getRun(runId: string): Promise<Run | null>;

  getConversation(id: string): Promise<Conversation | null>;
  /** Newest first, by creation. */
  listConversations(input: ListInput): Promise<Page<Conversation>>;
  /** Oldest first; null when there is no such conversation. */
  listMessages(conversationId: string, input: ListInput): Promise<Page<Message> | null>;
  /**
   * The last messages before `beforeMessageId`, oldest first, whole and without a gap, at most `maxCharacters` (UTF-16 units)
   * of content together: to prime a fresh session. `omitted` counts those before them.
   */
  recentMessages(input: {
    conversationId: string;
    beforeMessageId: string;
    maxCharacters: number;
  }): Promise<{ messages: Message[]; omitted: number }>;
  /**
   * Removes messages, outbound messages, runs, tasks and their run log with it. Its sessions stay on record until
   * `forgetSessions`: a repeated deletion returns them again.
   */
  deleteConversation(id: string): Promise<DeleteOutcome>;
  /** The transcripts of a deleted conversation are gone. */
  forgetSessions(conversationId: string): Promise<void>;
  /** Deleted conversations whose transcripts may still be there. */
  listUnforgotten(): Promise<string[]>;

  counts(): Promise<{ conversations: number; tasks: number }>;
  close(): Promise<void>;
}

/** A `cursor` that no `list…` returned. */
export class InvalidCursor extends Error {
  constructor() {
    super('the cursor is not one that this server returned');
    this.name = 'InvalidCursor';
  }
}
