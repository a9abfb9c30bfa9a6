/**
 * The operations' faults in the words of the tools: a model has neither the fields of the API nor all of its routes. An error
 * that is none of these stays what it is.
 */

import { invalidRequest } from '../domain/invalid-request.ts';
import { type FieldError, Problem } from '../domain/problem.ts';

/** `target`: as the tool was given it. */
export function asScheduleFault(error: unknown, target: string | undefined): unknown {
  if (!(error instanceof Problem)) return error;
  const { conversationId, taskId } = error.context;
  if (error.code === 'task_exists' && taskId !== undefined)
    return new Problem(
      'task_exists',
      `a task with id ${taskId} exists; change it with update_task, or take another id`,
    );
  if (error.code === 'not_found' && target !== undefined && conversationId === target)
    return new Problem('not_found', `target_conversation_id not found: ${target}`);
  return reword(error, { conversation_id: (message) => ({ path: 'target_conversation_id', message }) });
}

export function asPauseFault(error: unknown): unknown {
  return reword(error, {
    status: () => ({
      path: '',
      message:
        'the task is completed and cannot be paused; to have it run again, give it a new schedule with update_task',
    }),
  });
}

export function asResumeFault(error: unknown): unknown {
  return reword(error, {
    status: timeIsPast,
    // What 1.x took may mean nothing.
    schedule_value: (message) => ({
      path: '',
      message: `the schedule_value of the task ${message}; give it a new schedule with update_task`,
    }),
  });
}

export function asUpdateFault(error: unknown): unknown {
  return reword(error, {
    status: timeIsPast,
    // This tool cannot give a task a conversation.
    conversation_id: () => ({
      path: 'context_mode',
      message: 'group needs a conversation, and this task has none; cancel it, and schedule it with one',
    }),
  });
}

function timeIsPast(): FieldError {
  return { path: '', message: 'the one time of the task is past; give it a new schedule with update_task' };
}

/** Fields of the API → what the tool says of a fault of theirs. */
type Words = { [path: string]: (message: string) => FieldError };

function reword(error: unknown, words: Words): unknown {
  const errors = error instanceof Problem ? error.context.errors : undefined;
  if (!errors?.some(({ path }) => Object.hasOwn(words, path))) return error;
  return invalidRequest(errors.map((fault) => words[fault.path]?.(fault.message) ?? fault));
}
