/**
 * Deletes a conversation: its rows first, then, once that is on the volume, the agent's transcripts and archives of it.
 *
 * The store remembers which transcripts are still to go, so that a deletion that was cut off or refused half way is
 * finished by a repeated DELETE or by the next start.
 */

import { conversationBusy, conversationNotFound } from '../domain/problem.ts';
import { durably } from '../lib/durable.ts';
import type { Log } from '../lib/log.ts';
import type { Store, Unforgotten } from '../store/store.ts';

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
  const failure = "the agent's transcripts of the conversation could not be removed; try again later";
  const { sessionIds } = outcome;
  await durably(() => forget(deps, { id, kind: 'conversation', sessionIds }), failure, { conversationId: id });
  await syncDeletion(deps, id);
}

/**
 * At start: transcripts that deletions before it, or isolated runs that were cut off, left behind. Never rejects; what cannot
 * be done now is tried at the next start.
 */
export async function finishDeletions(
  deps: DeleteDeps & { volume: { useIfOurs(work: () => Promise<void>): Promise<boolean> }; log: Log },
): Promise<void> {
  const failed = (error: unknown) =>
    deps.log.error({ err: error }, 'transcripts that nobody needs could not be removed');
  try {
    await deps.volume.useIfOurs(async () => {
      for (const owner of await deps.store.listUnforgotten()) await forget(deps, owner).catch(failed);
      await deps.volume.sync();
    });
  } catch (error) {
    failed(error);
  }
}

/** What was archived of an isolated run stays: it is the only thing that does. */
async function forget({ agent, store }: DeleteDeps, { id, kind, sessionIds }: Unforgotten): Promise<void> {
  for (const sessionId of sessionIds) await agent.forget(sessionId);
  if (kind === 'conversation') await agent.forgetArchives(sessionIds);
  await store.forgetSessions(id, sessionIds);
}

function syncDeletion(deps: DeleteDeps, id: string): Promise<void> {
  const failure = 'the deletion could not be written to the persistent volume; try again later';
  return durably(() => deps.volume.sync(), failure, { conversationId: id });
}
