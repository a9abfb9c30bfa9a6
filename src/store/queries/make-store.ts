/**
 * The store port over Kysely: which query runs in which transaction. The same for every dialect.
 *
 * A method of one statement needs no transaction of its own; every other has exactly one, so that a method is seen
 * whole or not at all.
 */

import type { Kysely, Transaction } from 'kysely';
import type { Store } from '../store.ts';
import { acceptRun } from './accept.ts';
import { claimTask, renewLease } from './claim.ts';
import {
  counts,
  deleteConversation,
  forgetSessions,
  getConversation,
  listConversations,
  listSessions,
  listUnforgotten,
  recordSession,
} from './conversations.ts';
import { countDue, dueTasks, giveUpSlot, nextDueAt } from './due.ts';
import { listMessages, recentMessages } from './messages.ts';
import { addOutbound, undeliver, withdrawOutbound } from './outbound.ts';
import { recoverRuns } from './recover.ts';
import { toRun } from './rows.ts';
import { listTaskRuns, prune } from './run-log.ts';
import { settleRun } from './settle.ts';
import type { Tables } from './tables.ts';
import { deleteTask, getTask, insertTask, listTasks, updateTask, withdrawTask } from './tasks.ts';
import { withdrawRun } from './withdraw.ts';

export type StoreSource = {
  /** The database of this moment. Throws when there is none. */
  db(): Kysely<Tables>;
  /** A method failed: what its caller is to be told. */
  explain(error: unknown): unknown;
  /** A transaction that may have written was committed. */
  onCommit?(): void;
  close(): Promise<void>;
};

export function makeStore(source: StoreSource): Store {
  const query = async <T>(work: (db: Kysely<Tables>) => Promise<T>): Promise<T> => {
    try {
      return await work(source.db());
    } catch (error) {
      throw source.explain(error);
    }
  };
  /** Several reads of one state. */
  const inOneView = <T>(read: (trx: Transaction<Tables>) => Promise<T>): Promise<T> =>
    query((db) => db.transaction().execute(read));
  const atomically = async <T>(work: (trx: Transaction<Tables>) => Promise<T>): Promise<T> => {
    const result = await inOneView(work);
    source.onCommit?.();
    return result;
  };
  return {
    acceptRun: (input) => atomically((trx) => acceptRun(trx, input)),
    claimTask: (input) => atomically((trx) => claimTask(trx, input)),
    renewLease: (claim) => atomically((trx) => renewLease(trx, claim)),
    withdrawRun: (runId, fencingToken) => atomically((trx) => withdrawRun(trx, runId, fencingToken)),
    addSession: (ownerId, sessionId) => atomically((trx) => recordSession(trx, ownerId, sessionId)),
    settleRun: (input) => atomically((trx) => settleRun(trx, input)),
    addOutbound: (input) => atomically((trx) => addOutbound(trx, input)),
    withdrawOutbound: (id) => atomically((trx) => withdrawOutbound(trx, id)),
    undeliver: (outboundIds) => atomically((trx) => undeliver(trx, outboundIds)),
    recoverRuns: (input) => atomically((trx) => recoverRuns(trx, input)),
    getRun: (runId) =>
      query(async (db) => {
        const row = await db.selectFrom('runs').selectAll().where('id', '=', runId).executeTakeFirst();
        return row === undefined ? null : toRun(row);
      }),
    getConversation: (id) => query((db) => getConversation(db, id)),
    listConversations: (input) => query((db) => listConversations(db, input)),
    listMessages: (conversationId, input) => inOneView((trx) => listMessages(trx, conversationId, input)),
    recentMessages: (input) => inOneView((trx) => recentMessages(trx, input)),
    deleteConversation: (id) => atomically((trx) => deleteConversation(trx, id)),
    listSessions: (ownerId) => query((db) => listSessions(db, ownerId)),
    forgetSessions: (ownerId, sessionIds) => atomically((trx) => forgetSessions(trx, ownerId, sessionIds)),
    listUnforgotten: () => query((db) => listUnforgotten(db)),
    insertTask: (input) => atomically((trx) => insertTask(trx, input)),
    withdrawTask: (input) => atomically((trx) => withdrawTask(trx, input)),
    updateTask: (input) => atomically((trx) => updateTask(trx, input)),
    getTask: (id) => query((db) => getTask(db, id)),
    listTasks: (input) => query((db) => listTasks(db, input)),
    deleteTask: (id) => atomically((trx) => deleteTask(trx, id)),
    listTaskRuns: (taskId, input) => atomically((trx) => listTaskRuns(trx, taskId, input)),
    dueTasks: (input) => query((db) => dueTasks(db, input)),
    countDue: (at) => query((db) => countDue(db, at)),
    nextDueAt: (input) => query((db) => nextDueAt(db, input)),
    giveUpSlot: (input) => query((db) => giveUpSlot(db, input)),
    prune: (input) => atomically((trx) => prune(trx, input)),
    counts: () => query((db) => counts(db)),
    close: () => source.close(),
  };
}
