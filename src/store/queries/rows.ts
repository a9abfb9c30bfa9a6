/** Rows ↔ domain: the one place where columns get their names in the code. */

import * as z from 'zod/mini';
import type { Conversation, Message, OutboundMessage } from '../../domain/conversation.ts';
import { catalogue, type ProblemBody, type ProblemCode } from '../../domain/problem.ts';
import type { Run } from '../../domain/run.ts';
import type { AfterRun, Task, TaskRun } from '../../domain/task.ts';
import type { ConversationRow, MessageRow, OutboundRow, RunRow, TaskRow } from './tables.ts';

export function toConversation(row: ConversationRow): Conversation {
  return {
    id: row.id,
    sessionId: row.session_id,
    createdAt: row.created_at,
    lastActivity: row.last_activity,
    messageCount: row.message_count,
    status: row.status,
  };
}

export function toMessage(row: MessageRow): Message {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    role: row.role,
    sender: row.sender,
    senderName: row.sender_name,
    content: row.content,
    createdAt: row.created_at,
  };
}

export function toRun(row: RunRow): Run {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    source: row.source,
    status: row.status,
    fencingToken: row.fencing_token,
    userMessageId: row.user_message_id,
    assistantMessageId: row.assistant_message_id,
    model: row.model,
    error: row.error === null ? null : toProblemBody(row.error),
    usage: {
      inputTokens: row.input_tokens,
      outputTokens: row.output_tokens,
      cacheReadInputTokens: row.cache_read_input_tokens,
      cacheCreationInputTokens: row.cache_creation_input_tokens,
    },
    costUsd: row.cost_usd,
    numTurns: row.num_turns,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  };
}

export function toOutboundMessage(row: OutboundRow): OutboundMessage {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    text: row.text,
    sender: row.sender,
    createdAt: row.created_at,
  };
}

export function toTask(row: TaskRow): Task {
  return {
    id: row.id,
    conversationId: row.conversation_id,
    prompt: row.prompt,
    scheduleType: row.schedule_type,
    scheduleValue: row.schedule_value,
    contextMode: row.context_mode,
    timezone: row.timezone,
    nextRun: row.next_run,
    lastRun: row.last_run,
    lastResult: row.last_result,
    lastStatus: row.last_status,
    status: row.status,
    createdAt: row.created_at,
    model: row.model,
    maxExecutionMs: row.max_execution_ms,
    maxAttempts: row.max_attempts,
    attempts: row.attempts,
  };
}

/** The columns that a change of the task may write. */
export function fromTask(task: Task) {
  return {
    conversation_id: task.conversationId,
    prompt: task.prompt,
    schedule_type: task.scheduleType,
    schedule_value: task.scheduleValue,
    context_mode: task.contextMode,
    timezone: task.timezone,
    next_run: task.nextRun,
    status: task.status,
    model: task.model,
    max_execution_ms: task.maxExecutionMs,
    max_attempts: task.maxAttempts,
    attempts: task.attempts,
  } satisfies Partial<TaskRow>;
}

/** Only the end of the schedule changes the status: one that was changed during the run, to `paused` for example, stands. */
export function fromAfterRun({ nextRun, status, attempts }: AfterRun) {
  return { next_run: nextRun, attempts, ...(nextRun === null ? { status } : {}) } satisfies Partial<TaskRow>;
}

/** `row` is a run of the task. */
export function toTaskRun(taskId: string, row: RunRow): TaskRun {
  const { id, source, conversationId, status, startedAt, endedAt, error, model, usage, costUsd, numTurns } = toRun(row);
  return {
    id,
    taskId,
    source,
    conversationId,
    status,
    slot: row.slot,
    attempt: row.attempt ?? 1,
    startedAt,
    endedAt,
    durationMs: endedAt === null || status === 'interrupted' ? null : toDurationMs(startedAt, endedAt),
    result: row.result,
    error,
    model,
    usage,
    costUsd,
    numTurns,
    outboundMessages: toSentMessages(row),
  };
}

/** Null where PicoClaw 1.x left something that is no time. */
function toDurationMs(startedAt: string, endedAt: string): number | null {
  const durationMs = Date.parse(endedAt) - Date.parse(startedAt);
  return Number.isNaN(durationMs) ? null : durationMs;
}

const sentMessages = z.array(
  z.object({ id: z.string(), text: z.string(), sender: z.nullable(z.string()), created_at: z.string() }),
);

/** The messages that a task's run sent, oldest first. */
export function toSentMessages(row: RunRow): OutboundMessage[] {
  if (row.outbound_messages === null) return [];
  return sentMessages
    .parse(JSON.parse(row.outbound_messages))
    .map(({ created_at, ...rest }) => ({ ...rest, conversationId: row.conversation_id, createdAt: created_at }));
}

export function fromSentMessages(messages: OutboundMessage[]): string {
  return JSON.stringify(
    messages.map(({ id, text, sender, createdAt }) => ({ id, text, sender, created_at: createdAt })),
  );
}

const problemBody = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.custom<ProblemCode>((code) => typeof code === 'string' && Object.hasOwn(catalogue, code)),
  retryable: z.boolean(),
  error: z.string(),
  errors: z.exactOptional(z.array(z.object({ path: z.string(), message: z.string() }))),
  conversation_id: z.exactOptional(z.string()),
  task_id: z.exactOptional(z.string()),
  request_id: z.exactOptional(z.string()),
});

function toProblemBody(json: string): ProblemBody {
  return problemBody.parse(JSON.parse(json));
}
