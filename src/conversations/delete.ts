/**
 * Deletes a conversation: its rows first, then, once that is on the volume, the agent's transcripts and archives of it.
 *
 * The store remembers which transcripts are still to go, so that a deletion that was cut off or refused half way is
 * finished by a repeated DELETE or by the next start.
 */

import { conversationBusy, conversationNotFound, Problem } from '../domain/problem.ts';
import type { Log } from '../lib/log.ts';
import type { Store } from '../store/store.ts';

export type DeleteDeps = {
  store: Store;
  volume: { sync(): Promise<void> };
  agent: { forget(sessionId: string): Promise<void>; forgetArchives(sessionIds: string[]): Promise<void> };
};

/** Rejects with a `Problem`: 404, 409 while a run is active, 503 when something of it could not be deleted durably. */
export async function deleteConversation(deps: DeleteDeps, id: string): Promise<void> {
  const outcome = await deps.store.deleteConversation(id);
  if (outcome.kind === 'busy') throw conversationBusy(id);
  // Also before "not found": that answer may rest on a deletion whose own sync failed.
  await syncDeletion(deps, id);
  if (outcome.kind === 'not_found') throw conversationNotFound(id);
  await durably(id, "the agent's transcript of the conversation could not be removed; try again later", async () => {
    for (const sessionId of outcome.sessionIds) await deps.agent.forget(sessionId);
    await deps.agent.forgetArchives(outcome.sessionIds);
    await deps.store.forgetSessions(id);
  });
  await syncDeletion(deps, id);
}

/** At start: what deletions before it left to do. Never rejects; what cannot be done now is tried at the next start. */
export async function finishDeletions(deps: DeleteDeps & { log: Log }): Promise<void> {
  const failed = (error: unknown) =>
    deps.log.error({ err: error }, 'transcripts of a deleted conversation could not be removed');
  try {
    for (const id of await deps.store.listUnforgotten()) await deleteConversation(deps, id).catch(failed);
  } catch (error) {
    failed(error);
  }
}

function syncDeletion(deps: DeleteDeps, id: string): Promise<void> {
  const failure = 'the deletion could not be written to the persistent volume; try again later';
  return durably(id, failure, () => deps.volume.sync());
}

async function durably(id: string, failure: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    throw new Problem('not_durable', failure, { conversationId: id, retryAfterS: 5, cause });
  }
}
