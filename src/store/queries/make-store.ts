/**
 * The store port over Kysely: which query runs in which transaction. The same for every dialect.
 *
 * A method of one statement needs no transaction of its own; every other has exactly one, so that a method is seen
 * whole or not at all.
 */

import type { Kysely, Transaction } from 'kysely';
import type { Store } from '../store.ts';
import { acceptRun, withdrawRun } from './accept.ts';
import {
  counts,
  deleteConversation,
  forgetSessions,
  getConversation,
  listConversations,
  listUnforgotten,
  recordSession,
} from './conversations.ts';
import { listMessages, recentMessages } from './messages.ts';
import { toRun } from './rows.ts';
import { recoverRuns, settleRun, undeliver } from './settle.ts';
import type { Tables } from './tables.ts';

/** The store owns `db` from here on: `close` ends it. */
export function makeStore(db: Kysely<Tables>): Store {
  const atomically = <T>(work: (trx: Transaction<Tables>) => Promise<T>): Promise<T> => db.transaction().execute(work);
  return {
    acceptRun: (input) => atomically((trx) => acceptRun(trx, input)),
    withdrawRun: (runId, fencingToken) => atomically((trx) => withdrawRun(trx, runId, fencingToken)),
    addSession: (conversationId, sessionId) => atomically((trx) => recordSession(trx, conversationId, sessionId)),
    settleRun: (input) => atomically((trx) => settleRun(trx, input)),
    undeliver: (outboundIds) => atomically((trx) => undeliver(trx, outboundIds)),
    recoverRuns: (input) => atomically((trx) => recoverRuns(trx, input)),
    getRun: async (runId) => {
      const row = await db.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst();
      return row === undefined ? null : toRun(row);
    },
    getConversation: (id) => getConversation(db, id),
    listConversations: (input) => listConversations(db, input),
    listMessages: (conversationId, input) => atomically((trx) => listMessages(trx, conversationId, input)),
    recentMessages: (input) => atomically((trx) => recentMessages(trx, input)),
    deleteConversation: (id) => atomically((trx) => deleteConversation(trx, id)),
    forgetSessions: (conversationId) => forgetSessions(db, conversationId),
    listUnforgotten: () => listUnforgotten(db),
    counts: () => counts(db),
    close: () => db.destroy(),
  };
}
