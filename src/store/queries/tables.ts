/** The tables as Kysely sees them: snake_case columns, one type a table. The schema itself is in the dialect's migrations. */

import type { Generated, Selectable } from 'kysely';
import type { ConversationStatus, MessageRole } from '../../domain/conversation.ts';
import type { RunSource, RunStatus } from '../../domain/run.ts';

export type Tables = {
  conversations: ConversationTable;
  sessions: SessionTable;
  messages: MessageTable;
  runs: RunTable;
  outbound_messages: OutboundTable;
  scheduled_tasks: TaskTable;
  task_run_logs: TaskRunLogTable;
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

/** Every session that a conversation has had, so that deleting it can name every transcript of it. */
type SessionTable = {
  conversation_id: string;
  session_id: string;
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

type RunTable = {
  seq: Generated<number>;
  id: string;
  conversation_id: string;
  source: RunSource;
  status: RunStatus;
  fencing_token: number;
  owner: string;
  user_message_id: string;
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
};

type TaskTable = {
  id: string;
  conversation_id: string;
  prompt: string;
  schedule_type: string;
  schedule_value: string;
  context_mode: 'isolated' | 'group';
  next_run: string | null;
  last_run: string | null;
  last_result: string | null;
  status: 'active' | 'paused' | 'completed';
  created_at: string;
};

type TaskRunLogTable = {
  seq: Generated<number>;
  id: string;
  task_id: string;
  run_at: string;
  duration_ms: number;
  status: string;
  result: string | null;
  error: string | null;
};

export type ConversationRow = Selectable<ConversationTable>;
export type MessageRow = Selectable<MessageTable>;
export type RunRow = Selectable<RunTable>;
export type OutboundRow = Selectable<OutboundTable>;
