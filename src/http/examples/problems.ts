/** What each problem looks like as a response of an operation, in the words that the server has for it. */

import { invalidRequest } from '../../domain/invalid-request.ts';
import {
  catalogue,
  conversationBusy,
  conversationNotFound,
  Problem,
  type ProblemBody,
  type ProblemCode,
  storeOwnedElsewhere,
  taskBusy,
  taskNotFound,
} from '../../domain/problem.ts';
import { conversationId, type OperationExamples, taskId } from './example.ts';

const requestId = 'req-7b0c6a1e-6a57-4f0e-9d0b-1f0c8f1f8f55';

const details: Partial<Record<ProblemCode, string>> = {
  malformed_json:
    "the body is not valid JSON: Expected ',' or '}' after property value in JSON at position 19 (line 1 column 20)",
  unauthorized: 'the token is not valid',
  forbidden: 'mcp_servers.files: a stdio server runs a command on the server, which needs ALLOW_STDIO_MCP=true there',
  body_too_large: 'the body is larger than 1048576 bytes',
  unsupported_media_type: 'send the body as application/json in UTF-8, or with no content type; got "text/plain"',
  internal_error: 'internal error',
  not_durable: 'the persistent volume cannot be used; nothing is answered from memory',
  store_unavailable: 'the database is being read from the volume, or the volume does not answer',
  skills_failed: 'the skills could not be installed (EACCES); those installed before stay',
  run_lost: 'another instance took this run over; look at the conversation and try again',
  overloaded: '8 runs are under way or waiting, which is as many as this server takes; nothing was stored',
  shutting_down: 'the server is shutting down',
};

export function exampleProblem(code: ProblemCode, { about, invalid }: OperationExamples): ProblemBody {
  return problemOf(code, about ?? null, invalid.errors).toBody(requestId);
}

function problemOf(
  code: ProblemCode,
  about: 'conversation' | 'task' | null,
  errors: { path: string; message: string }[],
) {
  switch (code) {
    case 'invalid_request':
      return invalidRequest(errors);
    case 'not_found':
      return about === 'task' ? taskNotFound(taskId) : conversationNotFound(conversationId);
    case 'conversation_busy':
      return conversationBusy(conversationId, about === 'task' ? taskId : undefined);
    case 'task_busy':
      return taskBusy(taskId);
    case 'task_exists':
      return new Problem(code, `a task with id ${taskId} exists; change it with PUT, or take another id`, { taskId });
    case 'store_owned_elsewhere':
      return storeOwnedElsewhere('picoclaw-7d9f/17');
    default:
      return new Problem(code, details[code] ?? catalogue[code].title);
  }
}
