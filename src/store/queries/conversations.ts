/** Finding, listing, counting and deleting conversations. */

import { type Kysely, sql, type Transaction } from 'kysely';
import type { Conversation, Page } from '../../domain/conversation.ts';
import type { DeleteOutcome, ListInput, Unforgotten } from '../store.ts';
import { fromCursor, toPage } from './cursor.ts';
import { toConversation } from './rows.ts';
import { deleteRunLog } from './run-log.ts';
import type { ConversationRow, Tables } from './tables.ts';

export async function getConversation(db: Kysely<Tables>, id: string): Promise<Conversation | null> {
  const row = await db.selectFrom('conversations').selectAll().where('id', '=', id).executeTakeFirst();
  return row === undefined ? null : toConversation(row);
}

/** Pages by `seq`, which never changes, so that use between two pages moves no row over their border. */
export async function listConversations(db: Kysely<Tables>, input: ListInput): Promise<Page<Conversation>> {
  const before = fromCursor('conversations', input.cursor);
  const rows = await db
    .selectFrom('conversations')
    .selectAll()
    .$if(before !== null, (query) => query.where('seq', '<', before))
    .orderBy('seq', 'desc')
    .limit(input.limit + 1)
    .execute();
  return toPage({ list: 'conversations', rows, limit: input.limit, toItem: toConversation });
}

export async function hasConversation(db: Kysely<Tables>, id: string): Promise<boolean> {
  const row = await db.selectFrom('conversations').select('id').where('id', '=', id).executeTakeFirst();
  return row !== undefined;
}

/** Idle, empty and without a session, but for what `row` says. */
export async function insertConversation(
  trx: Transaction<Tables>,
  row: Pick<ConversationRow, 'id' | 'created_at'> & Partial<ConversationRow>,
): Promise<ConversationRow> {
  return trx
    .insertInto('conversations')
    .values({ last_activity: row.created_at, message_count: 0, status: 'idle', fencing_token: 0, seen_seq: 0, ...row })
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** Removes one that was made for something that is not there any more, unless something else has come into it. */
export async function deleteIfEmpty(trx: Transaction<Tables>, id: string): Promise<void> {
  await trx
    .deleteFrom('conversations')
    .where('id', '=', id)
    .where((eb) =>
      eb.and(
        (['messages', 'runs', 'outbound_messages', 'scheduled_tasks'] as const).map((table) =>
          eb.not(eb.exists(eb.selectFrom(table).select('id').where('conversation_id', '=', id))),
        ),
      ),
    )
    .execute();
}

export async function deleteConversation(trx: Transaction<Tables>, id: string): Promise<DeleteOutcome> {
  const conversation = await trx.selectFrom('conversations').select('status').where('id', '=', id).executeTakeFirst();
  if (conversation?.status === 'running') return { kind: 'busy' };
  const sessions = await trx
    .selectFrom('sessions')
    .select('session_id')
    .where('owner_id', '=', id)
    .where('owner_kind', '=', 'conversation')
    .execute();
  const sessionIds = sessions.map((session) => session.session_id);
  if (conversation === undefined)
    return sessionIds.length > 0 ? { kind: 'deleted', sessionIds } : { kind: 'not_found' };
  // The run log has no foreign key to its task (a task may be deleted while it runs), so it does not go by itself.
  const tasks = await trx.selectFrom('scheduled_tasks').select('id').where('conversation_id', '=', id).execute();
  await deleteRunLog(
    trx,
    tasks.map((task) => task.id),
  );
  await trx.deleteFrom('conversations').where('id', '=', id).execute();
  return { kind: 'deleted', sessionIds };
}

export async function listSessions(db: Kysely<Tables>, ownerId: string): Promise<string[]> {
  const rows = await db.selectFrom('sessions').select('session_id').where('owner_id', '=', ownerId).execute();
  return rows.map((row) => row.session_id);
}

export async function forgetSessions(trx: Transaction<Tables>, ownerId: string, sessionIds: string[]): Promise<void> {
  for (const sessionId of sessionIds)
    await trx.deleteFrom('sessions').where('owner_id', '=', ownerId).where('session_id', '=', sessionId).execute();
}

/** In one statement: what is found is nobody's, whatever comes to its owner's name later. */
export async function listUnforgotten(db: Kysely<Tables>): Promise<Unforgotten[]> {
  const rows = await db
    .selectFrom('sessions')
    .select(['owner_id', 'owner_kind', 'session_id'])
    .where('owner_id', 'not in', (eb) => eb.selectFrom('conversations').select('conversations.id'))
    .where('owner_id', 'not in', (eb) =>
      eb.selectFrom('runs').select('runs.id').where('runs.status', '=', sql.lit('running')),
    )
    .execute();
  const owners = Map.groupBy(rows, (row) => `${row.owner_kind} ${row.owner_id}`);
  return [...owners.values()].flatMap(([first, ...others]) =>
    first === undefined
      ? []
      : {
          id: first.owner_id,
          kind: first.owner_kind,
          sessionIds: [first, ...others].map((row) => row.session_id),
        },
  );
}

/**
 * `ownerId`: a conversation, which may go back to a session that it had before, or an isolated run. It is there: what is no
 * conversation is a run.
 */
export async function recordSession(trx: Kysely<Tables>, ownerId: string, sessionId: string): Promise<void> {
  const ownerKind = (await hasConversation(trx, ownerId)) ? 'conversation' : 'run';
  await trx
    .insertInto('sessions')
    .values({ owner_id: ownerId, owner_kind: ownerKind, session_id: sessionId })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

export async function counts(db: Kysely<Tables>): Promise<{ conversations: number; tasks: number }> {
  const result = await sql<{ conversations: number; tasks: number }>`
    select (select count(*) from conversations) as conversations, (select count(*) from scheduled_tasks) as tasks
  `.execute(db);
  return result.rows[0] ?? { conversations: 0, tasks: 0 };
}
