/**
 * Scheduled tasks: leases and slots on the task, and runs as its run log.
 *
 * - SQLite drops no `not null`, so two tables are rebuilt: a new one is filled and takes the old one's name. Both are only
 *   children of `conversations`, which is not touched: to drop that would delete all that belongs to it.
 * - Nothing is lost: rows are counted. Run logs of PicoClaw 1.x become runs, those of a task that is gone too.
 * - No foreign key from runs to tasks: a run under way outlives its task.
 * - A session belongs to a conversation or to an isolated run; before, only to a conversation.
 * - A schedule type that means nothing (1.x did not check what it was given) becomes a cron that is paused.
 */

import { type Kysely, sql } from 'kysely';
import { Problem } from '../../domain/problem.ts';
import type { Tables } from '../queries/tables.ts';

const newRuns = `create table new_runs (
  seq integer primary key autoincrement,
  id text not null unique,
  conversation_id text references conversations (id) on delete cascade,
  source text not null,
  status text not null check (status in ('running', 'success', 'timeout', 'error', 'cancelled', 'interrupted')),
  fencing_token integer not null,
  owner text not null,
  user_message_id text,
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
  task_id text,
  task_fencing_token integer,
  slot text,
  attempt integer,
  result text,
  outbound_messages text,
  check ((status = 'running') = (ended_at is null)),
  check ((conversation_id is null) = (user_message_id is null)),
  check (conversation_id is not null or task_id is not null)
) strict`;

/** The columns of schema 0001, in order. */
const runColumns = `seq, id, conversation_id, source, status, fencing_token, owner, user_message_id, assistant_message_id,
  previous_activity, previous_session_id, model, error, input_tokens, output_tokens, cache_read_input_tokens,
  cache_creation_input_tokens, cost_usd, num_turns, started_at, ended_at`;

/** A `run_at` that is no time (1.x kept what it was given) is kept as the end too. */
const copyRunLogs = `
  insert into new_runs (id, source, status, fencing_token, owner, error, input_tokens, output_tokens,
    cache_read_input_tokens, cache_creation_input_tokens, cost_usd, num_turns, started_at, ended_at, task_id, attempt, result)
  select id, 'task_check', case when status in ('success', 'timeout') then status else 'error' end, 0, '1.x', error, 0, 0,
    0, 0, 0, 0, run_at,
    coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', run_at, (duration_ms / 1000.0) || ' seconds'), run_at), task_id, 1, result
  from task_run_logs order by seq`;

const newTasks = `create table new_scheduled_tasks (
  seq integer primary key autoincrement,
  id text not null unique,
  conversation_id text references conversations (id) on delete cascade,
  prompt text not null,
  schedule_type text not null check (schedule_type in ('cron', 'interval', 'once')),
  schedule_value text not null,
  context_mode text not null check (context_mode in ('isolated', 'group')),
  timezone text,
  next_run text,
  last_run text,
  last_result text,
  last_status text,
  status text not null check (status in ('active', 'paused', 'completed')),
  created_at text not null,
  model text,
  max_execution_ms integer,
  max_attempts integer not null,
  attempts integer not null check (attempts >= 0),
  lease_owner text,
  lease_expires_at text,
  fencing_token integer not null,
  check (context_mode = 'isolated' or conversation_id is not null),
  check ((lease_owner is null) = (lease_expires_at is null))
) strict`;

const knownType = `schedule_type in ('cron', 'interval', 'once')`;

/** 1.x wrote a number of milliseconds as SQLite turns a float into text: `60000.0`. */
const isFloat = `schedule_type = 'interval' and schedule_value glob '[0-9]*.0'
  and substr(schedule_value, 1, length(schedule_value) - 2) not glob '*[^0-9]*'`;

/** Why it cannot come due: it is paused, and says so. */
const neverDue = `case when status <> 'active' then null
    when not ${knownType} then 'Error: 1.x had it with the schedule type ' || quote(schedule_type) || ', which never comes due; give it a schedule'
    when next_run is null then 'Error: 1.x had it without a next run, so it never came due; set its status to active, or give it a schedule'
    end`;

const copyTasks = `
  insert into new_scheduled_tasks (id, conversation_id, prompt, schedule_type, schedule_value, context_mode, next_run,
    last_run, last_result, status, created_at, max_attempts, attempts, fencing_token)
  select id, conversation_id, prompt, case when ${knownType} then schedule_type else 'cron' end,
    case when ${isFloat} then substr(schedule_value, 1, length(schedule_value) - 2) else schedule_value end,
    context_mode, next_run, last_run, coalesce(${neverDue}, last_result),
    case when ${neverDue} is null then status else 'paused' end, created_at, 3, 0, 0
  from scheduled_tasks order by created_at, rowid`;

export async function addTasks(db: Kysely<Tables>): Promise<void> {
  await turnErrorsIntoProblems(db);
  await run(db, newRuns);
  await run(db, `insert into new_runs (${runColumns}) select ${runColumns} from runs`);
  await keepNumbering(db);
  await run(db, copyRunLogs);
  await requireSameCount(db, ['runs', 'task_run_logs'], 'new_runs');
  await run(db, newTasks);
  await run(db, copyTasks);
  await requireSameCount(db, ['scheduled_tasks'], 'new_scheduled_tasks');
  for (const statement of replacement) await run(db, statement);
}

const replacement = [
  'drop table runs',
  'drop table task_run_logs',
  'alter table new_runs rename to runs',
  'create index runs_of_conversation on runs (conversation_id, seq)',
  'create index runs_of_task on runs (task_id, seq)',
  `create unique index runs_one_running on runs (conversation_id) where status = 'running'`,
  `create unique index runs_one_running_of_task on runs (task_id) where status = 'running' and task_id is not null`,

  'drop table scheduled_tasks',
  'alter table new_scheduled_tasks rename to scheduled_tasks',
  'create index scheduled_tasks_of_conversation on scheduled_tasks (conversation_id)',
  // All that says whether a task is due and can run, in order: of thousands, only those that are returned are read.
  `create index scheduled_tasks_due
    on scheduled_tasks (status, next_run, seq, id, context_mode, conversation_id, lease_expires_at)`,

  'alter table outbound_messages add column run_id text',
  'create index outbound_messages_of_run on outbound_messages (run_id) where run_id is not null',

  'alter table sessions rename column conversation_id to owner_id',
  `alter table sessions add column owner_kind text not null default 'conversation'
    check (owner_kind in ('conversation', 'run'))`,
];

/** What 1.x wrote as a text becomes a problem, as runs keep it. */
async function turnErrorsIntoProblems(db: Kysely<Tables>): Promise<void> {
  const failed = await sql<{ seq: number; error: string }>`
    select seq, error from task_run_logs where error is not null
  `.execute(db);
  for (const { seq, error } of failed.rows) {
    const body = JSON.stringify(new Problem('agent_failed', error).toBody());
    await sql`update task_run_logs set error = ${body} where seq = ${seq}`.execute(db);
  }
}

/** AUTOINCREMENT would go on after the highest number that is left, and a withdrawn run may have had a higher one. */
async function keepNumbering(db: Kysely<Tables>): Promise<void> {
  await run(db, `delete from sqlite_sequence where name = 'new_runs'`);
  await run(
    db,
    `insert into sqlite_sequence (name, seq) select 'new_runs', seq from sqlite_sequence where name = 'runs'`,
  );
}

async function requireSameCount(db: Kysely<Tables>, from: string[], to: string): Promise<void> {
  const before = await Promise.all(from.map((table) => countRows(db, table)));
  const expected = before.reduce((sum, count) => sum + count, 0);
  const actual = await countRows(db, to);
  if (actual !== expected) throw new Error(`of ${expected} rows in ${from.join(' and ')}, ${actual} were taken over`);
}

async function countRows(db: Kysely<Tables>, table: string): Promise<number> {
  const result = await sql<{ count: number }>`select count(*) as count from ${sql.table(table)}`.execute(db);
  return result.rows[0]?.count ?? 0;
}

async function run(db: Kysely<Tables>, statement: string): Promise<void> {
  await sql.raw(statement).execute(db);
}
