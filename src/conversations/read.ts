/** What a client may read of conversations. Reads never sync. */

import type { Conversation, Message, Page } from '../domain/conversation.ts';
import { conversationNotFound, Problem } from '../domain/problem.ts';
import { InvalidCursor, type ListInput, type Store } from '../store/store.ts';

export type { ListInput };

export type ReadDeps = { store: Store };

/** Newest first, by creation. */
export function listConversations(deps: ReadDeps, input: ListInput): Promise<Page<Conversation>> {
  return withCursor(() => deps.store.listConversations(input));
}

export async function requireConversation(deps: ReadDeps, id: string): Promise<Conversation> {
  const conversation = await deps.store.getConversation(id);
  if (conversation === null) throw conversationNotFound(id);
  return conversation;
}

/** Oldest first. */
export async function listMessages(deps: ReadDeps, id: string, input: ListInput): Promise<Page<Message>> {
  const page = await withCursor(() => deps.store.listMessages(id, input));
  if (page === null) throw conversationNotFound(id);
  return page;
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
