/** The durable thread that owns messages and the agent's state; at most one run is active in it. */

export type ConversationStatus = 'idle' | 'running';

export type Conversation = {
  id: string;
  /** The Agent SDK's transcript of this conversation (a UUID); null only before its first run. */
  sessionId: string | null;
  /** UTC, ISO 8601, as are all times here. */
  createdAt: string;
  lastActivity: string;
  messageCount: number;
  status: ConversationStatus;
};

export type MessageRole = 'user' | 'assistant';

export type Message = {
  id: string;
  conversationId: string;
  role: MessageRole;
  /** The caller's identifier of who speaks; a label, not an authenticated identity. */
  sender: string;
  senderName: string;
  content: string;
  createdAt: string;
};

/**
 * A message that the agent sent while it worked. It is delivered once: to whoever waits for the run that sent it, else
 * with the conversation's next answer.
 */
export type OutboundMessage = {
  id: string;
  /** Null in an isolated run, which has no conversation. */
  conversationId: string | null;
  text: string;
  sender: string | null;
  createdAt: string;
};

/** One page of a list; `nextCursor` is null on the last one. */
export type Page<T> = { items: T[]; nextCursor: string | null };
