/** What a client may read of conversations. Reads never sync. */

import type { Conversation, Message, Page } from '../domain/conversation.ts';
import { Problem } from '../domain/problem.ts';
import { InvalidCursor, type ListInput, type Store } from '../store/store.ts';

export type ReadDeps = { store: Store };

/** Newest first, by creation. */
export function listConversations(deps: ReadDeps, input: ListInput): Promise<Page<Conversation>> {
  return withCursor(() => deps.store.listConversations(input));
}

export async function requireConversation(deps: ReadDeps, id: string): Promise<Conversation> {
  return (await deps.store.getConversation(id)) ?? notFound(id);
}

/** Oldest first. */
export async function listMessages(deps: ReadDeps, id: string, input: ListInput): Promise<Page<Message>> {
  return (await withCursor(() => deps.store.listMessages(id, input))) ?? notFound(id);
}

export function notFound(id: string): never {
  throw new Problem('not_found', `conversation_id not found: ${id}`, { conversationId: id });
}

async function withCursor<T>(list: () => Promise<T>): Promise<T> {
  try {
    return await list();
  } catch (error) {
    if (!(error instanceof InvalidCursor)) throw error;
    throw new Problem('invalid_request', `cursor: ${error.message}`, {
      errors: [{ path: 'cursor', message: `${error.message}; leave it out to start at the first page` }],
    });
  }
}
