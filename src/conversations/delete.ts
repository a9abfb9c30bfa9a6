/**
 * Deletes a conversation: its rows first, then, once that is on the volume, the agent's transcripts and archives of it.
 *
 * The store remembers which transcripts are still to go, so that a deletion that was cut off or refused half way is
 * finished by a repeated DELETE or by the next start.
 */

import { conversationBusy, conversationNotFound } from '../domain/problem.ts';
import { durably } from '../lib/durable.ts';
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
  const failure = "the agent's transcripts of the conversation could not be removed; try again later";
  await durably(() => forget(deps, { ownerId: id, sessionIds: outcome.sessionIds }), failure, { conversationId: id });
  await syncDeletion(deps, id);
}

/**
 * At start: transcripts that deletions before it, or isolated runs that were cut off, left behind. Never rejects; what cannot
 * be done now is tried at the next start.
 */
export async function finishDeletions(deps: DeleteDeps & { log: Log }): Promise<void> {
  const failed = (error: unknown) =>
    deps.log.error({ err: error }, 'transcripts that nobody needs could not be removed');
  try {
    for (const ownerId of await deps.store.listUnforgotten()) {
      const sessionIds = await deps.store.listSessions(ownerId);
      await forget(deps, { ownerId, sessionIds }).catch(failed);
    }
    await deps.volume.sync();
  } catch (error) {
    failed(error);
  }
}

type Unneeded = { ownerId: string; sessionIds: string[] };

async function forget({ agent, store }: DeleteDeps, { ownerId, sessionIds }: Unneeded): Promise<void> {
  for (const sessionId of sessionIds) await agent.forget(sessionId);
  await agent.forgetArchives(sessionIds);
  await store.forgetSessions(ownerId);
}

function syncDeletion(deps: DeleteDeps, id: string): Promise<void> {
  const failure = 'the deletion could not be written to the persistent volume; try again later';
  return durably(() => deps.volume.sync(), failure, { conversationId: id });
}
