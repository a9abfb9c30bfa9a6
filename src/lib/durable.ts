/** What is answered only once it is on the persistent volume. */

import { Problem, type ProblemContext } from '../domain/problem.ts';

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
