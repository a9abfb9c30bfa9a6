/** What is answered only once it is on the persistent volume. */

import { Problem, type ProblemContext } from '../domain/problem.ts';
import { within } from './within.ts';

/**
 * Does the work, a sync above all. Rejects with `not_durable` (503) and this detail when it fails; a `Problem` that knows
 * better is passed on.
 */
export async function durably(
  work: () => Promise<void>,
  detail: string,
  context: Pick<ProblemContext, 'conversationId' | 'taskId'> = {},
): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof Problem) throw new Problem(cause.code, cause.message, { ...cause.context, ...context, cause });
    throw new Problem('not_durable', detail, { ...context, cause });
  }
}

/** The volume that has just refused may not answer at all. */
const maxWithdrawalMs = 2_000;

/**
 * Undoes what could not be made durable, on the volume too: another request's sync may have carried it there meanwhile. Whoever
 * was refused does not wait long for that. Rejects when it could not be undone.
 */
export async function withdraw(undo: () => Promise<void>, sync: () => Promise<void>): Promise<void> {
  await undo();
  await within(maxWithdrawalMs, sync());
}
