/**
 * What the server has acknowledged, from its responses alone, and what of it a database lacks.
 *
 * A request without an answer is in doubt: it may have been done, once. A task that somebody is in doubt of is left alone
 * from then on, because nobody can tell when the request that was cut off ends.
 */

import type { DatabaseSync } from 'node:sqlite';

type Chat = {
  state: 'sent' | 'stored' | 'answered' | 'refused';
  conversationId: string | null;
  reply: string | null;
  said: string;
};
/** The prompts that it may have; null: it may be gone. */
type Task = { allowed: Set<string | null>; isInDoubt: boolean };

export class Ledger {
  acknowledged = 0;
  readonly faults: string[] = [];
  readonly #chats = new Map<string, Chat>();
  readonly #tasks = new Map<string, Task>();
  readonly #runs = new Map<string, { taskId: string | null; status: string }>();
  readonly #outbound = new Map<string, { text: string; deliveries: number }>();

  get isEmpty(): boolean {
    return this.acknowledged === 0;
  }

  sent(token: string, conversationId: string | null): void {
    this.#chats.set(token, { state: 'sent', conversationId, reply: null, said: '' });
  }

  refused(token: string): void {
    this.#update(token, { state: 'refused' });
  }

  /** The message alone, as `start` of a stream says. */
  stored(token: string, conversationId: string): void {
    this.acknowledged += 1;
    this.#update(token, { state: 'stored', conversationId });
  }

  answered(token: string, answer: { conversationId: string; said: string; runId: string; status: string }): void {
    this.acknowledged += 1;
    const { conversationId, said, runId, status } = answer;
    this.#update(token, { state: 'answered', conversationId, reply: said.split('|')[0] ?? '', said });
    this.#runs.set(runId, { taskId: null, status });
  }

  /** Whether the whole reply, with what a tool said, holds this text. */
  isAnswered(token: string, said: string): boolean {
    return this.#chats.get(token)?.said.includes(said) ?? false;
  }

  /** Messages of this conversation that the server has said it holds. */
  messagesOf(conversationId: string): string[] {
    const known: string[] = [];
    for (const [token, chat] of this.#chats) {
      if (chat.conversationId !== conversationId) continue;
      if (chat.state === 'stored' || chat.state === 'answered') known.push(token);
      if (chat.reply !== null) known.push(chat.reply);
    }
    return known;
  }

  /** Those with an answered message. */
  conversations(): string[] {
    const answered = [...this.#chats.values()].filter(({ state }) => state === 'answered');
    return [...new Set(answered.map(({ conversationId }) => conversationId).filter((id) => id !== null))];
  }

  taskInDoubt(id: string, prompt: string | null): void {
    const task = this.#tasks.get(id) ?? { allowed: new Set([null]), isInDoubt: true };
    task.isInDoubt = true;
    task.allowed.add(prompt);
    this.#tasks.set(id, task);
  }

  taskIs(id: string, prompt: string | null): void {
    this.acknowledged += 1;
    this.#tasks.set(id, { allowed: new Set([prompt]), isInDoubt: false });
  }

  /** Those that may be changed. */
  knownTasks(prefix: string): string[] {
    return [...this.#tasks]
      .filter(([id, { isInDoubt, allowed }]) => id.startsWith(prefix) && !isInDoubt && !allowed.has(null))
      .map(([id]) => id);
  }

  allowedPrompts(id: string): ReadonlySet<string | null> {
    return this.#tasks.get(id)?.allowed ?? new Set();
  }

  taskRan(taskId: string, runId: string, status: string): void {
    this.acknowledged += 1;
    this.#runs.set(runId, { taskId, status });
  }

  outboundStored(id: string, text: string): void {
    this.acknowledged += 1;
    const known = this.#outbound.get(id);
    this.#outbound.set(id, { text, deliveries: known?.deliveries ?? 0 });
  }

  outboundDelivered(id: string, text: string): void {
    const known = this.#outbound.get(id) ?? { text, deliveries: 0 };
    known.deliveries += 1;
    this.#outbound.set(id, known);
    if (known.deliveries > 1) this.faults.push(`outbound message ${id} was delivered ${known.deliveries} times`);
  }

  missingFrom(db: DatabaseSync): string[] {
    return [
      ...this.#missingMessages(db),
      ...this.#missingTasks(db),
      ...this.#missingRuns(db),
      ...this.#missingOutbound(db),
    ];
  }

  #missingMessages(db: DatabaseSync): string[] {
    const found = new Map<string, number>();
    for (const row of db.prepare('select substr(content, 1, 200) as content from messages').all()) {
      const key = String(row.content).split('|')[0] ?? '';
      found.set(key, (found.get(key) ?? 0) + 1);
    }
    const missing: string[] = [];
    for (const [token, { state, reply }] of this.#chats) {
      const times = found.get(token) ?? 0;
      if (times > 1) missing.push(`message ${token} is there ${times} times`);
      if (times > 0 && state === 'refused') missing.push(`message ${token} was refused and is there`);
      if (times === 0 && (state === 'stored' || state === 'answered')) missing.push(`message ${token} (${state})`);
      if (reply !== null && !found.has(reply)) missing.push(`the reply to ${token}`);
    }
    const miscounted = db
      .prepare(
        'select id from conversations c where message_count != (select count(*) from messages m where m.conversation_id = c.id)',
      )
      .all();
    return [...missing, ...miscounted.map(({ id }) => `the count of conversation ${id}`)];
  }

  #missingTasks(db: DatabaseSync): string[] {
    const rows = db.prepare('select id, prompt from scheduled_tasks').all();
    const found = new Map(rows.map(({ id, prompt }) => [String(id), String(prompt)]));
    return [...this.#tasks]
      .filter(([id, { allowed }]) => !allowed.has(found.get(id) ?? null))
      .map(
        ([id, { allowed }]) => `task ${id} is ${found.get(id) ?? 'gone'}, and should be ${[...allowed].join(' or ')}`,
      );
  }

  #missingRuns(db: DatabaseSync): string[] {
    const rows = db.prepare('select id, status from runs').all();
    const found = new Map(rows.map(({ id, status }) => [String(id), String(status)]));
    return [...this.#runs]
      .filter(([id, { status, taskId }]) => found.get(id) !== status && !this.#mayBeGone(taskId))
      .map(([id, { status }]) => `run ${id} is ${found.get(id) ?? 'gone'}, and was ${status}`);
  }

  /** A task's run log goes with it. */
  #mayBeGone(taskId: string | null): boolean {
    return taskId !== null && (this.#tasks.get(taskId)?.allowed.has(null) ?? true);
  }

  #missingOutbound(db: DatabaseSync): string[] {
    const rows = db.prepare('select id, text from outbound_messages').all();
    const found = new Map(rows.map(({ id, text }) => [String(id), String(text)]));
    return [...this.#outbound]
      .filter(([id, { text }]) => found.get(id) !== text)
      .map(([id]) => `outbound message ${id}`);
  }

  #update(token: string, change: Partial<Chat>): void {
    const chat = this.#chats.get(token);
    if (chat === undefined) throw new Error(`message ${token} was never sent`);
    Object.assign(chat, change);
  }
}
