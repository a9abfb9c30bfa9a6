/**
 * Deletes a conversation: its rows first, then, once that is on the volume, the agent's transcripts of it.
 *
 * A crash in between leaves transcripts without a conversation: unreachable through the API, and removed by a repeated
 * DELETE no more. The other order could leave a conversation without its memory, which is worse.
 */

import { Problem } from '../domain/problem.ts';
import type { Store } from '../store/store.ts';
import { notFound } from './read.ts';

export type DeleteDeps = {
  store: Store;
  volume: { sync(): Promise<void> };
  agent: { forget(sessionId: string): Promise<void> };
};

/** Rejects with a `Problem`: 404, 409 while a run is active, 503 when the deletion could not be made durable. */
export async function deleteConversation(deps: DeleteDeps, id: string): Promise<void> {
  const outcome = await deps.store.deleteConversation(id);
  // Also before "not found": that answer may rest on a deletion whose own sync failed.
  await syncOrRefuse(deps, id);
  switch (outcome.kind) {
    case 'not_found':
      return notFound(id);
    case 'busy':
      throw new Problem('conversation_busy', `Conversation ${id} is currently processing another request`, {
        conversationId: id,
        retryAfterS: 1,
      });
    case 'deleted':
      for (const sessionId of outcome.sessionIds) await deps.agent.forget(sessionId);
      return;
    default:
      outcome satisfies never;
  }
}

async function syncOrRefuse(deps: DeleteDeps, id: string): Promise<void> {
  try {
    await deps.volume.sync();
  } catch (cause) {
    throw new Problem('not_durable', 'the deletion could not be written to the persistent volume; try again later', {
      conversationId: id,
      retryAfterS: 5,
      cause,
    });
  }
}
