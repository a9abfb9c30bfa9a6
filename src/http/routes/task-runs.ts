/** POST /task/check, POST /task/trigger, GET /task/:id/runs */

import type { z } from '@hono/zod-openapi';
import { type CheckDeps, checkTasks } from '../../tasks/check.ts';
import { listTaskRuns } from '../../tasks/read.ts';
import type { TaskRunResult } from '../../tasks/run-task.ts';
import { triggerTask } from '../../tasks/trigger.ts';
import { type AppContext, noteTask } from '../context.ts';
import { taskParams as params } from '../id-param.ts';
import { pageQuery, toListInput } from '../paging.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';
import { checkRequest, triggerRequest } from '../task-request.ts';
import {
  checkResponse,
  executedTask,
  taskRunList,
  toCheckJson,
  toExecutedJson,
  toTaskRunJson,
} from '../task-run-json.ts';

export type TaskRunRouteDeps = { operations: CheckDeps };

const tag = 'Tasks';

export const checkTasksRoute = defineRoute({
  method: 'post',
  path: '/task/check',
  operationId: 'checkTasks',
  tag,
  summary: 'Run a task that is due',
  description:
    'The oldest that can run; with `max`, several one after another. The answer comes when the run has ended and is on the ' +
    'volume, and says how it ended (`status`): a run that failed is a 200 too. However many checks are sent at once, each due ' +
    'time is run by one of them: a check may be repeated at will. A task whose conversation is busy is passed over for the ' +
    'next. The body may be left out.',
  params: none,
  query: none,
  body: { presence: 'optional', schema: checkRequest },
  store: 'writes',
  success: {
    200: { description: 'What ran, or why nothing did.', content: { 'application/json': { schema: checkResponse } } },
  },
  problems: ['overloaded', 'run_lost'],
});

export const triggerTaskRoute = defineRoute({
  method: 'post',
  path: '/task/trigger',
  operationId: 'triggerTask',
  tag,
  summary: 'Run a task now',
  description:
    'Whatever its schedule and status, and leaves both alone. Refused while the task or its conversation is running.',
  params: none,
  query: none,
  body: { presence: 'required', schema: triggerRequest },
  store: 'writes',
  success: {
    200: { description: 'How the run ended.', content: { 'application/json': { schema: executedTask } } },
  },
  problems: ['not_found', 'task_busy', 'conversation_busy', 'overloaded', 'run_lost'],
});

export const listTaskRunsRoute = defineRoute({
  method: 'get',
  path: '/task/{id}/runs',
  operationId: 'listTaskRuns',
  tag,
  summary: 'List the runs of a task',
  description: 'Newest first; the last TASK_LOG_RETENTION of them.',
  params,
  query: pageQuery,
  body: noBody,
  store: 'reads',
  success: { 200: { description: 'One page.', content: { 'application/json': { schema: taskRunList } } } },
  problems: ['not_found'],
});

export function addTaskRunRoutes(app: App, { operations }: TaskRunRouteDeps): void {
  addRoute(app, checkTasksRoute, async (c, { body }) => {
    const result = await checkTasks(operations, { max: body.max ?? 1 });
    const [first] = result.ran;
    if (first) noteRun(c, first);
    return c.json(toCheckJson(result, { withRuns: body.max !== undefined }));
  });

  addRoute(app, triggerTaskRoute, async (c, { body: { task_id: id } }) => {
    noteTask(c, id);
    const result = await triggerTask(operations, id);
    noteRun(c, result);
    return c.json(toExecutedJson(result));
  });

  addRoute(app, listTaskRunsRoute, async (c, { params: { id }, query }) => {
    noteTask(c, id);
    const page = await listTaskRuns(operations, id, toListInput(query));
    const answer: z.output<typeof taskRunList> = {
      task_id: id,
      runs: page.items.map(toTaskRunJson),
      next_cursor: page.nextCursor,
    };
    return c.json(answer);
  });
}

/** Of several runs of one check, the first. */
function noteRun(c: AppContext, { taskId, outcome }: TaskRunResult): void {
  const entry = c.get('entry');
  entry.taskId = taskId;
  entry.runId = outcome.runId;
  entry.runStatus = outcome.status;
  entry.conversationId = outcome.conversationId;
}
