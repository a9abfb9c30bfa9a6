/** What a client may read of conversations. Reads never sync. */

import type { Conversation, Message, Page } from '../domain/conversation.ts';
import { conversationNotFound } from '../domain/problem.ts';
import type { ListInput, Store } from '../store/store.ts';

export type { ListInput };

export type ReadDeps = { store: Store };

/** Newest first, by creation. */
export function listConversations(deps: ReadDeps, input: ListInput): Promise<Page<Conversation>> {
  return deps.store.listConversations(input);
}

export async function requireConversation(deps: ReadDeps, id: string): Promise<Conversation> {
  const conversation = await deps.store.getConversation(id);
  if (conversation === null) throw conversationNotFound(id);
  return conversation;
}

/** Oldest first. */
export async function listMessages(deps: ReadDeps, id: string, input: ListInput): Promise<Page<Message>> {
  const page = await deps.store.listMessages(id, input);
  if (page === null) throw conversationNotFound(id);
  return page;
}
