/** Deletes a task and its run log. A run of it that is under way ends normally. */

import { taskNotFound } from '../domain/problem.ts';
import { durably } from '../lib/durable.ts';
import type { TaskDeps } from './deps.ts';

/** Rejects with a `Problem`: 404, 503 when the deletion may not survive. */
export async function deleteTask(deps: TaskDeps, id: string): Promise<void> {
  const deleted = await deps.store.deleteTask(id);
  // Also before "not found": that answer may rest on a deletion whose own sync failed.
  const refused = 'the deletion could not be written to the persistent volume; try again later';
  await durably(() => deps.volume.sync(), refused, { taskId: id });
  if (!deleted) throw taskNotFound(id);
}
