/** POST /task, GET /tasks, GET /task/:id, PUT /task/:id, DELETE /task/:id */

import type { z } from '@hono/zod-openapi';
import { createTask } from '../../tasks/create.ts';
import { deleteTask } from '../../tasks/delete.ts';
import type { TaskDeps } from '../../tasks/deps.ts';
import { listTasks, nextDueAt, requireTask } from '../../tasks/read.ts';
import { updateTask } from '../../tasks/update.ts';
import { noteTask } from '../context.ts';
import { taskParams as params } from '../id-param.ts';
import { pageQuery, toListInput } from '../paging.ts';
import { type App, addRoute, defineRoute, noBody, none } from '../route.ts';
import { taskList, taskResponse, toTaskJson } from '../task-json.ts';
import { createTaskRequest, toCreateTask, toTaskChanges, updateTaskRequest } from '../task-request.ts';

export type TaskRouteDeps = { operations: TaskDeps };

const tag = 'Tasks';
const content = { 'application/json': { schema: taskResponse } };

export const createTaskRoute = defineRoute({
  method: 'post',
  path: '/task',
  operationId: 'createTask',
  tag,
  summary: 'Make a task',
  description:
    'A stored rule by which the agent is asked something at a time (`once`), again and again (`interval`) or by the calendar ' +
    '(`cron`). Nothing runs by itself: POST /task/check, sent by an outside scheduler at `next_due_at` or every minute, runs ' +
    'what is due. Nothing is made unless everything is valid.',
  params: none,
  query: none,
  body: { presence: 'required', schema: createTaskRequest },
  store: 'writes',
  success: { 201: { description: 'The task, on the volume.', content } },
  problems: ['not_found', 'task_exists'],
});

export const listTasksRoute = defineRoute({
  method: 'get',
  path: '/tasks',
  operationId: 'listTasks',
  tag,
  summary: 'List tasks',
  description: 'Newest first.',
  params: none,
  query: pageQuery,
  body: noBody,
  store: 'reads',
  success: { 200: { description: 'One page.', content: { 'application/json': { schema: taskList } } } },
  problems: [],
});

export const getTaskRoute = defineRoute({
  method: 'get',
  path: '/task/{id}',
  operationId: 'getTask',
  tag,
  summary: 'Get a task',
  description: 'Its rule, its state and how its last run ended; the runs have a route of their own.',
  params,
  query: none,
  body: noBody,
  store: 'reads',
  success: { 200: { description: 'The task.', content } },
  problems: ['not_found'],
});

export const updateTaskRoute = defineRoute({
  method: 'put',
  path: '/task/{id}',
  operationId: 'updateTask',
  tag,
  summary: 'Change a task',
  description:
    'Fields that are left out stay as they are. A new schedule begins anew and makes a completed task active again; any other ' +
    'change leaves `next_run` alone. A task that is resumed after its time goes on with the next one. A run under way ' +
    'goes on, and changes nothing of this when it ends.',
  params,
  query: none,
  body: { presence: 'required', schema: updateTaskRequest },
  store: 'writes',
  success: { 200: { description: 'The task as it is now, on the volume.', content } },
  problems: ['not_found'],
});

export const deleteTaskRoute = defineRoute({
  method: 'delete',
  path: '/task/{id}',
  operationId: 'deleteTask',
  tag,
  summary: 'Delete a task',
  description: 'With its run log. A run under way ends normally and is answered.',
  params,
  query: none,
  body: noBody,
  store: 'writes',
  success: { 204: { description: 'It is gone, from the volume too.' } },
  problems: ['not_found'],
});

export function addTaskRoutes(app: App, { operations }: TaskRouteDeps): void {
  const { timezone } = operations.settings;

  addRoute(app, createTaskRoute, async (c, { body }) => {
    noteTask(c, body.id ?? null);
    const task = await createTask(operations, toCreateTask(body));
    noteTask(c, task.id);
    return c.json(toTaskJson(task, timezone), 201);
  });

  addRoute(app, listTasksRoute, async (c, { query }) => {
    const page = await listTasks(operations, toListInput(query));
    const answer: z.output<typeof taskList> = {
      tasks: page.items.map((task) => toTaskJson(task, timezone)),
      next_cursor: page.nextCursor,
      next_due_at: await nextDueAt(operations),
    };
    return c.json(answer);
  });

  addRoute(app, getTaskRoute, async (c, { params: { id } }) => {
    noteTask(c, id);
    return c.json(toTaskJson(await requireTask(operations, id), timezone));
  });

  addRoute(app, updateTaskRoute, async (c, { params: { id }, body }) => {
    noteTask(c, id);
    return c.json(toTaskJson(await updateTask(operations, { id, changes: toTaskChanges(body) }), timezone));
  });

  addRoute(app, deleteTaskRoute, async (c, { params: { id } }) => {
    noteTask(c, id);
    await deleteTask(operations, id);
    return c.body(null, 204);
  });
}
