/**
 * Takes over a database of PicoClaw 1.x in place: its tables are set aside, copied into the new ones, and dropped.
 *
 * - Nothing is lost: after each copy the rows are counted against the old table.
 * - 1.x did not always keep its references: a row whose conversation is gone gets that conversation back.
 * - 1.x wrote times in two forms (ISO 8601, and SQLite's `YYYY-MM-DD HH:MM:SS` in UTC); here there is one.
 * - Its sessions were told the whole history with every message, so all of it counts as seen.
 * - An id that could not be asked for here becomes one that can.
 * - Nothing runs now, whatever a killed 1.x left in `status`.
 */

import { type Kysely, sql } from 'kysely';
import type { Tables } from '../queries/tables.ts';

const tableNames = ['conversations', 'messages', 'outbound_messages', 'scheduled_tasks', 'task_run_logs'] as const;
type TableName = (typeof tableNames)[number];

/** Renames the tables of 1.x to `v1_…` and says which there were; none in a new database. */
export async function setAsideVersion1(db: Kysely<Tables>): Promise<TableName[]> {
  const found = await sql<{ name: string }>`select name from sqlite_schema where type = 'table'`.execute(db);
  const names = new Set(found.rows.map((row) => row.name));
  const present = tableNames.filter((name) => names.has(name));
  for (const name of present) await run(db, `alter table ${name} rename to v1_${name}`);
  return present;
}

/** `present` is what `setAsideVersion1` returned; the new tables exist and are empty. */
export async function takeOverVersion1(db: Kysely<Tables>, present: TableName[]): Promise<void> {
  if (present.length === 0) return;
  await restoreConversations(db, present);
  for (const name of tableNames.filter((table) => present.includes(table))) {
    await run(db, copies[name]);
    await requireSameCount(db, name);
  }
  await run(
    db,
    `update conversations set
       message_count = (select count(*) from messages where conversation_id = conversations.id),
       seen_seq = case when session_id is null then 0
         else (select coalesce(max(seq), 0) from messages where conversation_id = conversations.id) end`,
  );
  await run(db, 'insert into sessions select id, session_id from conversations where session_id is not null');
  // Children first: dropping a table that others refer to deletes their rows one by one.
  for (const name of present.toReversed()) await run(db, `drop table v1_${name}`);
}

/** Milliseconds, as `toISOString` writes them; what is no time at all stays as it is. */
const iso = (column: string) => `coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', ${column}), ${column})`;

/** SQLite lets a TEXT primary key be null, and 1.x let a caller store one. */
const id = (prefix: string, column = 'cast(id as text)') => `coalesce(${column}, '${prefix}-v1-' || rowid)`;

/** What 1.x let a caller store, and no path can have: clients take dots out of it, and two are routes of their own. */
const unreachable = { '': 'empty', '.': 'dot', '..': 'dots' };
const unreachableTasks = { ...unreachable, check: 'check', trigger: 'trigger' };

const reachable = (prefix: string, column: string, names: Record<string, string>) => {
  const cases = Object.entries(names).map(([given, name]) => `when '${given}' then '${prefix}-v1-${name}'`);
  return `case cast(${column} as text) ${cases.join(' ')} else cast(${column} as text) end`;
};
const conversationId = (column: string) => reachable('conv', column, unreachable);
const taskId = (column: string) => reachable('task', column, unreachableTasks);

const copies: Record<TableName, string> = {
  conversations: `
    insert into conversations (id, session_id, created_at, last_activity, message_count, status, fencing_token, seen_seq)
    select ${id('conv', conversationId('id'))}, nullif(session_id, ''), ${iso('created_at')}, ${iso('last_activity')}, 0, 'idle', 0, 0
    from v1_conversations order by ${iso('created_at')}, rowid`,
  messages: `
    insert into messages (id, conversation_id, role, sender, sender_name, content, created_at)
    select ${id('msg')}, ${conversationId('conversation_id')}, case role when 'assistant' then 'assistant' else 'user' end,
      coalesce(sender, role), coalesce(sender_name, sender, role), cast(content as text), ${iso('created_at')}
    from v1_messages order by ${iso('created_at')}, rowid`,
  outbound_messages: `
    insert into outbound_messages (id, conversation_id, text, sender, created_at, delivered_at)
    select ${id('out')}, ${conversationId('conversation_id')}, text, sender, ${iso('created_at')},
      case when delivered then ${iso('created_at')} end
    from v1_outbound_messages order by ${iso('created_at')}, rowid`,
  scheduled_tasks: `
    insert into scheduled_tasks (id, conversation_id, prompt, schedule_type, schedule_value, context_mode, next_run,
      last_run, last_result, status, created_at)
    select ${id('task', taskId('id'))}, ${conversationId('conversation_id')}, prompt, schedule_type, cast(schedule_value as text),
      case context_mode when 'group' then 'group' else 'isolated' end,
      ${iso('next_run')}, ${iso('last_run')}, last_result,
      case when status in ('active', 'paused', 'completed') then status else 'paused' end, ${iso('created_at')}
    from v1_scheduled_tasks order by ${iso('created_at')}, rowid`,
  task_run_logs: `
    insert into task_run_logs (id, task_id, run_at, duration_ms, status, result, error)
    select ${id('log')}, ${taskId('task_id')}, ${iso('run_at')}, cast(coalesce(duration_ms, 0) as integer), status, result, error
    from v1_task_run_logs order by ${iso('run_at')}, rowid`,
};

async function restoreConversations(db: Kysely<Tables>, present: TableName[]): Promise<void> {
  const owned = (['messages', 'outbound_messages', 'scheduled_tasks'] as const).filter((name) =>
    present.includes(name),
  );
  const references = owned.map((name) => `select conversation_id, ${iso('created_at')} as at from v1_${name}`);
  await run(
    db,
    `insert into v1_conversations (id, created_at, last_activity, message_count, status)
     select conversation_id, min(at), max(at), 0, 'idle' from (${references.join(' union all ')})
     where conversation_id not in (select id from v1_conversations where id is not null)
     group by conversation_id`,
  );
}

async function requireSameCount(db: Kysely<Tables>, name: TableName): Promise<void> {
  const result = await sql<{ before: number; after: number }>`
    select (select count(*) from ${sql.table(`v1_${name}`)}) as before, (select count(*) from ${sql.table(name)}) as after
  `.execute(db);
  const [count] = result.rows;
  if (count?.before !== count?.after) {
    throw new Error(`of ${count?.before} rows in the table ${name} of PicoClaw 1.x, ${count?.after} were taken over`);
  }
}

async function run(db: Kysely<Tables>, statement: string): Promise<void> {
  await sql.raw(statement).execute(db);
}
