/** Reading the messages of a conversation. */

import type { Kysely, Transaction } from 'kysely';
import type { Message, Page } from '../../domain/conversation.ts';
import type { ListInput } from '../store.ts';
import { hasConversation } from './conversations.ts';
import { fromCursor, toPage } from './cursor.ts';
import { toMessage } from './rows.ts';
import type { MessageRow, Tables } from './tables.ts';

/** How many messages `recentMessages` reads at a time: a few reads for an ordinary budget, never the whole of a long history. */
const batchSize = 50;

export async function listMessages(
  trx: Transaction<Tables>,
  conversationId: string,
  input: ListInput,
): Promise<Page<Message> | null> {
  const list = `messages/${conversationId}`;
  const after = fromCursor(list, input.cursor);
  if (!(await hasConversation(trx, conversationId))) return null;
  const rows = await trx
    .selectFrom('messages')
    .selectAll()
    .where('conversation_id', '=', conversationId)
    .where('seq', '>', after ?? 0)
    .orderBy('seq')
    .limit(input.limit + 1)
    .execute();
  return toPage({ list, rows, limit: input.limit, toItem: toMessage });
}

/** Whole messages, without a gap: the first one that does not fit ends it. Characters are UTF-16 units, as `length` counts. */
export async function recentMessages(
  trx: Transaction<Tables>,
  input: { conversationId: string; beforeMessageId: string; maxCharacters: number },
): Promise<{ messages: Message[]; omitted: number }> {
  const end = await trx
    .selectFrom('messages')
    .select('seq')
    .where('id', '=', input.beforeMessageId)
    .where('conversation_id', '=', input.conversationId)
    .executeTakeFirst();
  if (end === undefined) return { messages: [], omitted: 0 };
  const recent: MessageRow[] = [];
  let left = input.maxCharacters;
  for (let before: number | undefined = end.seq; before !== undefined; ) {
    const batch = await messagesBefore(trx, input.conversationId, before);
    const fitting = batch.slice(0, countFitting(batch, left));
    recent.push(...fitting);
    left -= fitting.reduce((sum, row) => sum + row.content.length, 0);
    before = fitting.length === batchSize ? fitting.at(-1)?.seq : undefined;
  }
  const { total } = await trx
    .selectFrom('messages')
    .select((eb) => eb.fn.countAll<number>().as('total'))
    .where('conversation_id', '=', input.conversationId)
    .where('seq', '<', end.seq)
    .executeTakeFirstOrThrow();
  return { messages: recent.reverse().map(toMessage), omitted: total - recent.length };
}

/** The user's messages after `afterSeq` and before `beforeSeq`, oldest first. */
export async function userMessagesBetween(
  db: Kysely<Tables>,
  conversationId: string,
  afterSeq: number,
  beforeSeq: number,
): Promise<MessageRow[]> {
  return db
    .selectFrom('messages')
    .selectAll()
    .where('conversation_id', '=', conversationId)
    .where('role', '=', 'user')
    .where('seq', '>', afterSeq)
    .where('seq', '<', beforeSeq)
    .orderBy('seq')
    .execute();
}

/** Newest first. */
async function messagesBefore(
  trx: Transaction<Tables>,
  conversationId: string,
  beforeSeq: number,
): Promise<MessageRow[]> {
  return trx
    .selectFrom('messages')
    .selectAll()
    .where('conversation_id', '=', conversationId)
    .where('seq', '<', beforeSeq)
    .orderBy('seq', 'desc')
    .limit(batchSize)
    .execute();
}

function countFitting(rows: MessageRow[], maxCharacters: number): number {
  let left = maxCharacters;
  const misfit = rows.findIndex((row) => {
    left -= row.content.length;
    return left < 0;
  });
  return misfit === -1 ? rows.length : misfit;
}
