/**
 * The port to the database. Every method is one transaction; nothing outside `store/` sees a transaction.
 *
 * Rules that every implementation keeps:
 * - A conversation has at most one run with status `running`, and is `running` exactly while it has one.
 * - `fencingToken` grows by one each time a conversation is taken and never restarts. A settling write whose run is no
 *   longer `running` with that token changes nothing and says so.
 * - A refused call stores nothing.
 * - A task has at most one run with status `running`. Its slot is claimed in the transaction that accepts the run, under a
 *   lease whose `fencingToken` grows by one with each claim; a run writes to its task only under its own claim.
 * Times are UTC ISO 8601 strings given by the caller; cursors are opaque strings that `list…` returned.
 */

import type { Conversation, Message, OutboundMessage, Page } from '../domain/conversation.ts';
import { Problem, type ProblemBody } from '../domain/problem.ts';
import type { Run, TerminalRunStatus, Usage } from '../domain/run.ts';
import type { AfterRun, Task, TaskRun } from '../domain/task.ts';

/** A chat request. */
export type AcceptRun = {
  runId: string;
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

/** All that the execution of an accepted run needs to know. */
export type AcceptedRun = {
  run: Run;
  /** The conversation's session, or the one that is new with this run. */
  sessionId: string;
  ask: AskedInConversation | AskedAlone;
  /** Null for a chat. */
  claim: TaskClaim | null;
};

export type AskedInConversation = {
  kind: 'conversation';
  /** As it is now: running, the new message counted. */
  conversation: Conversation;
  message: Message;
  /** User messages before this one that the session has not been told of (its run failed or was cut off). */
  unseen: Message[];
};

/** A task's isolated run: nothing is stored but the run itself. */
export type AskedAlone = { kind: 'alone'; messageId: string; text: string };

export type AcceptOutcome =
  | ({ kind: 'accepted' } & AcceptedRun & { ask: AskedInConversation })
  | { kind: 'not_found' }
  | { kind: 'busy' };

/** The right to run a task, held by one run. */
export type TaskClaim = {
  /** As it was when it was claimed, this attempt counted. */
  task: Task;
  /** Null for a trigger, which leaves the schedule alone. */
  slot: string | null;
  attempt: number;
  fencingToken: number;
};

export type ClaimTask = {
  taskId: string;
  /** The `nextRun` to claim, of an active task; null runs the task whatever its schedule and status. */
  slot: string | null;
  runId: string;
  newSessionId: string;
  /** `render` makes the content, of the task as it is in the claiming transaction. */
  message: { id: string; sender: string; senderName: string; render: (claim: TaskClaim) => string };
  owner: string;
  at: string;
  leaseExpiresAt: string;
};

export type ClaimOutcome =
  | ({ kind: 'accepted' } & AcceptedRun & { claim: TaskClaim })
  | { kind: 'not_found' }
  /** Another run of it is under way, or was cut off and its lease has not expired. */
  | { kind: 'task_busy' }
  | { kind: 'conversation_busy'; conversationId: string }
  /** The slot has been used up, moved or paused since it was looked up. */
  | { kind: 'not_due' };

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
  /** What the task's run log and the task itself keep of it; null for a chat. */
  task: {
    result: string | null;
    lastResult: string | null;
    /** Written if the task still has the slot, and the schedule that it was claimed with (`of`); null for a trigger. */
    after: (AfterRun & { of: Pick<Task, 'scheduleType' | 'scheduleValue' | 'timezone'> }) | null;
  } | null;
  at: string;
};

export type SettleOutcome =
  /**
   * `outbound`, oldest first, now marked delivered: of a chat, all that its conversation had undelivered; of a task's run,
   * those that it sent itself.
   */
  | { kind: 'settled'; run: Run; outbound: OutboundMessage[] }
  /** The run is not ours to settle any more: recovered by another instance, or deleted with its conversation. */
  | { kind: 'lost' };

export type DeleteOutcome =
  /** `sessionIds`: every session that the conversation ever had; their transcripts are the caller's to delete. */
  { kind: 'deleted'; sessionIds: string[] } | { kind: 'not_found' } | { kind: 'busy' };

export type AddOutbound = {
  id: string;
  /** From a run: it must be running. From outside: a conversation that exists. */
  from: { runId: string } | { conversationId: string };
  text: string;
  sender: string | null;
  at: string;
};

export type InsertOutcome =
  /** `madeConversation`: it was not there before. */
  { kind: 'inserted'; task: Task; madeConversation: boolean } | { kind: 'exists' } | { kind: 'conversation_not_found' };
export type UpdateOutcome =
  | { kind: 'updated'; task: Task }
  | { kind: 'not_found' }
  | { kind: 'conversation_not_found'; conversationId: string };

/** Of sessions: a conversation, or a task's isolated run. */
export type SessionOwner = { id: string; kind: 'conversation' | 'run' };

export type Unforgotten = SessionOwner & { sessionIds: string[] };

export type ListInput = { limit: number; cursor: string | null };

export interface Store {
  /** Finds or creates the conversation, takes it (idle → running), stores the user message and the run. */
  acceptRun(input: AcceptRun): Promise<AcceptOutcome>;
  /**
   * Claims the task for a run, counts the attempt at its slot, and stores the run. A `group` task takes its conversation as
   * a chat does, and the prompt is a message there.
   */
  claimTask(input: ClaimTask): Promise<ClaimOutcome>;
  /** False when the claim's run is not running any more. A task that was deleted during its run has no lease to lose. */
  renewLease(claim: { taskId: string; fencingToken: number; expiresAt: string }): Promise<boolean>;
  /**
   * Undoes an accepted run that could not be made durable: run, message, claim and, if it was created for it, the
   * conversation.
   */
  withdrawRun(runId: string, fencingToken: number): Promise<void>;
  /**
   * Notes a session that a run is about to begin, in the name of its conversation or, for an isolated run, of the run: so
   * that whoever deletes that finds the transcript.
   */
  addSession(ownerId: string, sessionId: string): Promise<void>;
  /** Stores the reply, closes the run, releases conversation and task, marks outbound messages delivered. */
  settleRun(input: SettleRun): Promise<SettleOutcome>;
  /** Null when the run is over or the conversation unknown. */
  addOutbound(input: AddOutbound): Promise<OutboundMessage | null>;
  /** Undoes `addOutbound`, unless an answer has taken the message along meanwhile. */
  withdrawOutbound(id: string): Promise<void>;
  /** Takes back a delivery that did not happen, so that the next answer delivers them. */
  undeliver(outboundIds: string[]): Promise<void>;
  /**
   * Runs that are `running` but not owned by `owner` become `interrupted`; their conversations become idle. Their tasks
   * stay claimed until the lease expires. Returns how many.
   */
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
   * `forgetSessions`: a repeated deletion returns them again. A run's id is that of no conversation.
   */
  deleteConversation(id: string): Promise<DeleteOutcome>;
  /** The sessions on record for a conversation or, of an isolated run, for the run. */
  listSessions(ownerId: string): Promise<string[]>;
  /** Their transcripts are gone. Another owner may have come to the name meanwhile, with sessions of its own. */
  forgetSessions(ownerId: string, sessionIds: string[]): Promise<void>;
  /** Deleted conversations, and isolated runs that are over, whose transcripts may still be there. */
  listUnforgotten(): Promise<Unforgotten[]>;

  /** Fails on a duplicate id. With `createConversation`, a conversation that is not there is made. */
  insertTask(input: { task: Task; createConversation: boolean; at: string }): Promise<InsertOutcome>;
  /** Undoes `insertTask`: the task and, if that made it and nothing else is in it, the conversation. */
  withdrawTask(input: { id: string; madeConversation: boolean }): Promise<void>;
  /** `change` is pure; what it throws undoes the call. A `group` task's conversation that is not there is made. */
  updateTask(input: { id: string; change: (task: Task) => Task; at: string }): Promise<UpdateOutcome>;
  getTask(id: string): Promise<Task | null>;
  /** Newest first, by creation. */
  listTasks(input: ListInput): Promise<Page<Task>>;
  /** With its run log. A run under way goes on, and is in no run log once it is over. False when there is no such task. */
  deleteTask(id: string): Promise<boolean>;
  /** Newest first; null when there is no such task. */
  listTaskRuns(taskId: string, input: ListInput): Promise<Page<TaskRun> | null>;
  /**
   * Active tasks that are due at `at` and can run: nobody has claimed them, and the conversation of a `group` is idle. Oldest
   * slot first, at most `limit`, without those whose ids are in `except`.
   */
  dueTasks(input: { at: string; limit: number; except: string[] }): Promise<Task[]>;
  /** Active tasks that are due at `at` and that nobody runs, those whose conversation is busy included. */
  countDue(at: string): Promise<number>;
  /**
   * When a look at the due tasks may next find one: of a claimed task, when its lease expires; of one that is held up (its
   * conversation is busy, or its run has outlived its lease), at `heldUpUntil`. Null when never. It may be past.
   */
  nextDueAt(input: { at: string; heldUpUntil: string }): Promise<string | null>;
  /** Uses up the slot of a task that nobody runs any more; its last status is `interrupted`. False when it is claimed, or has another slot by now. */
  giveUpSlot(input: {
    taskId: string;
    slot: string;
    lastResult: string;
    after: AfterRun;
    at: string;
  }): Promise<boolean>;
  /**
   * Removes the oldest lines of each task's run log beyond `taskRunsKept`, and outbound messages made before
   * `outboundBefore`, delivered or not.
   */
  prune(input: { taskRunsKept: number; outboundBefore: string }): Promise<{ runs: number; outbound: number }>;

  counts(): Promise<{ conversations: number; tasks: number }>;
  close(): Promise<void>;
}

/** A `cursor` that no `list…` returned. */
export class InvalidCursor extends Problem {
  constructor() {
    const message = 'is not one that this list returned; leave it out to start at the first page';
    super('invalid_request', `cursor: ${message}`, { errors: [{ path: 'cursor', message }] });
    this.name = 'InvalidCursor';
  }
}
