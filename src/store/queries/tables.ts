/** The tables as Kysely sees them: snake_case columns, one type a table. The schema itself is in the dialect's migrations. */

import type { Generated, Insertable, Selectable } from 'kysely';
import type { ConversationStatus, MessageRole } from '../../domain/conversation.ts';
import type { RunSource, RunStatus } from '../../domain/run.ts';
import type { ScheduleType } from '../../domain/schedule.ts';
import type { ContextMode, TaskStatus } from '../../domain/task.ts';

export type Tables = {
  conversations: ConversationTable;
  sessions: SessionTable;
  messages: MessageTable;
  runs: RunTable;
  outbound_messages: OutboundTable;
  scheduled_tasks: TaskTable;
};

type ConversationTable = {
  /** Order of creation; what lists page by, because nothing that happens later changes it. */
  seq: Generated<number>;
  id: string;
  session_id: string | null;
  created_at: string;
  last_activity: string;
  message_count: number;
  status: ConversationStatus;
  /** +1 each time the conversation is taken; never reset. */
  fencing_token: number;
  /** `seq` of the last message that the session `session_id` knows of; 0 when it knows none. */
  seen_seq: number;
};

/** Every session that a conversation or an isolated run has had, so that whoever deletes it can name every transcript of it. */
type SessionTable = {
  /** The conversation's id or, of an isolated run, the run's. */
  owner_id: string;
  session_id: string;
  /** What it was when it was there: rows of both kinds outlive their owner. */
  owner_kind: 'conversation' | 'run';
};

type MessageTable = {
  seq: Generated<number>;
  id: string;
  conversation_id: string;
  /** Null for messages of PicoClaw 1.x, which had no runs. */
  run_id: string | null;
  role: MessageRole;
  sender: string;
  sender_name: string;
  content: string;
  created_at: string;
};

/** The runs of a task are its run log. */
type RunTable = {
  seq: Generated<number>;
  id: string;
  /** Null for a task's isolated run. */
  conversation_id: string | null;
  source: RunSource;
  status: RunStatus;
  /** The conversation's when the run took it; of an isolated run, the task's. */
  fencing_token: number;
  owner: string;
  /** Null where `conversation_id` is. */
  user_message_id: string | null;
  assistant_message_id: string | null;
  /** The conversation's `last_activity` before the run; null when the run created the conversation. Only `withdrawRun` reads it. */
  previous_activity: string | null;
  /** The conversation's `session_id` before the run. Only `withdrawRun` reads it. */
  previous_session_id: string | null;
  model: string | null;
  /** A problem body as JSON. */
  error: string | null;
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
  cost_usd: number;
  num_turns: number;
  started_at: string;
  ended_at: string | null;
  /**
   * Null for a chat, as are all below. A run under way outlives its task; once it is over, no task is named that is not
   * its own, though the rest stays. Lines of PicoClaw 1.x may name one that is gone.
   */
  task_id: string | null;
  /** The claim that it runs under; null for lines of PicoClaw 1.x. */
  task_fencing_token: number | null;
  /** The due time that was claimed; null for a trigger. */
  slot: string | null;
  attempt: number | null;
  result: string | null;
  /** The messages that the run sent, as JSON; null while there is none. */
  outbound_messages: string | null;
};

type OutboundTable = {
  seq: Generated<number>;
  id: string;
  conversation_id: string;
  text: string;
  sender: string | null;
  created_at: string;
  /** When an answer took it along; null while none has. */
  delivered_at: string | null;
  /** The run that sent it; null when it came from outside, and for messages of PicoClaw 1.x. */
  run_id: string | null;
};

type TaskTable = {
  seq: Generated<number>;
  id: string;
  conversation_id: string | null;
  prompt: string;
  schedule_type: ScheduleType;
  schedule_value: string;
  context_mode: ContextMode;
  timezone: string | null;
  next_run: string | null;
  last_run: string | null;
  last_result: string | null;
  last_status: RunStatus | null;
  status: TaskStatus;
  created_at: string;
  model: string | null;
  max_execution_ms: number | null;
  max_attempts: number;
  attempts: number;
  /** The instance that claimed it; null when nobody does. */
  lease_owner: string | null;
  lease_expires_at: string | null;
  /** +1 with each claim; never reset. */
  fencing_token: number;
};

export type ConversationRow = Selectable<ConversationTable>;
export type MessageRow = Selectable<MessageTable>;
export type RunRow = Selectable<RunTable>;
export type NewRunRow = Insertable<RunTable>;
export type OutboundRow = Selectable<OutboundTable>;
export type TaskRow = Selectable<TaskTable>;
