/**
 * Schema version 2, the first with a ledger. What must never be true is refused by the database itself: a status outside
 * its list, a second running run in a conversation, a row of a conversation that does not exist.
 *
 * `seq` is the order of insertion and is what lists page by; AUTOINCREMENT, so that a number is never used twice.
 */

import { type Kysely, sql } from 'kysely';
import type { Tables } from '../queries/tables.ts';
import { setAsideVersion1, takeOverVersion1 } from './takeover.ts';

const schema = [
  `create table conversations (
    seq integer primary key autoincrement,
    id text not null unique,
    session_id text,
    created_at text not null,
    last_activity text not null,
    message_count integer not null check (message_count >= 0),
    status text not null check (status in ('idle', 'running')),
    fencing_token integer not null,
    seen_seq integer not null
  ) strict`,

  // No foreign key: the sessions of a deleted conversation stay on record until their transcripts are gone.
  `create table sessions (
    conversation_id text not null,
    session_id text not null,
    primary key (conversation_id, session_id)
  ) strict, without rowid`,

  `create table messages (
    seq integer primary key autoincrement,
    id text not null unique,
    conversation_id text not null references conversations (id) on delete cascade,
    run_id text,
    role text not null check (role in ('user', 'assistant')),
    sender text not null,
    sender_name text not null,
    content text not null,
    created_at text not null
  ) strict`,
  'create index messages_of_conversation on messages (conversation_id, seq)',

  `create table runs (
    seq integer primary key autoincrement,
    id text not null unique,
    conversation_id text not null references conversations (id) on delete cascade,
    source text not null,
    status text not null check (status in ('running', 'success', 'timeout', 'error', 'cancelled', 'interrupted')),
    fencing_token integer not null,
    owner text not null,
    user_message_id text not null,
    assistant_message_id text,
    previous_activity text,
    previous_session_id text,
    model text,
    error text,
    input_tokens integer not null,
    output_tokens integer not null,
    cache_read_input_tokens integer not null,
    cache_creation_input_tokens integer not null,
    cost_usd real not null,
    num_turns integer not null,
    started_at text not null,
    ended_at text,
    check ((status = 'running') = (ended_at is null))
  ) strict`,
  'create index runs_of_conversation on runs (conversation_id, seq)',
  `create unique index runs_one_running on runs (conversation_id) where status = 'running'`,

  `create table outbound_messages (
    seq integer primary key autoincrement,
    id text not null unique,
    conversation_id text not null references conversations (id) on delete cascade,
    text text not null,
    sender text,
    created_at text not null,
    delivered_at text
  ) strict`,
  'create index outbound_messages_of_conversation on outbound_messages (conversation_id, delivered_at)',

  `create table scheduled_tasks (
    id text not null primary key,
    conversation_id text not null references conversations (id) on delete cascade,
    prompt text not null,
    schedule_type text not null,
    schedule_value text not null,
    context_mode text not null check (context_mode in ('isolated', 'group')),
    next_run text,
    last_run text,
    last_result text,
    status text not null check (status in ('active', 'paused', 'completed')),
    created_at text not null
  ) strict`,
  'create index scheduled_tasks_of_conversation on scheduled_tasks (conversation_id)',

  // No reference to the task: a run that outlives its task still writes its line, where 1.x failed.
  `create table task_run_logs (
    seq integer primary key autoincrement,
    id text not null unique,
    task_id text not null,
    run_at text not null,
    duration_ms integer not null,
    status text not null,
    result text,
    error text
  ) strict`,
  'create index task_run_logs_of_task on task_run_logs (task_id, seq)',
];

export async function createSchema(db: Kysely<Tables>): Promise<void> {
  const version1 = await setAsideVersion1(db);
  for (const statement of schema) await sql.raw(statement).execute(db);
  await takeOverVersion1(db, version1);
}
