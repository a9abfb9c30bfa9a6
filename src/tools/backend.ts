/**
 * The port between the tools and what they act on. `in-process.ts` implements it with the operations themselves,
 * `over-http.ts` with the HTTP API of a running server; what the model reads is made from it once, for both.
 *
 * A method rejects with a `Problem` or a `ToolError` for what the model may be told; anything else is a bug.
 */

import type { Page } from '../domain/conversation.ts';
import type { Task } from '../domain/task.ts';

/** What the tools tell of a task. */
export type ToolTask = Pick<
  Task,
  | 'id'
  | 'conversationId'
  | 'prompt'
  | 'scheduleType'
  | 'scheduleValue'
  | 'contextMode'
  | 'nextRun'
  | 'lastRun'
  | 'status'
> & {
  /** The zone that its schedule is read in, its own or the server's; IANA. */
  timezone: string;
  lastStatus: string | null;
};

export type NewTask = Pick<Task, 'prompt' | 'scheduleType' | 'scheduleValue' | 'contextMode' | 'conversationId'> &
  Partial<Pick<Task, 'id'> & { timezone: string }>;

export type ChangedTask = Partial<
  Pick<Task, 'prompt' | 'scheduleType' | 'scheduleValue' | 'contextMode'> & { status: 'active' | 'paused' }
>;

export interface ToolBackend {
  /** Where the caller is; null when it is in no conversation. */
  readonly conversationId: string | null;
  sendMessage(input: { text: string; sender: string | null }): Promise<void>;
  /** Never makes a conversation. */
  createTask(task: NewTask): Promise<ToolTask>;
  /** Newest first; null for the first page. */
  listTasks(cursor: string | null): Promise<Page<ToolTask>>;
  updateTask(id: string, changes: ChangedTask): Promise<ToolTask>;
  deleteTask(id: string): Promise<void>;
}

/** What the model may be told of a fault that is no `Problem`: of the way to the server, or of how the tools were set up. */
export class ToolError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'ToolError';
  }
}
