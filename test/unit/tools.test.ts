/** What all tools share: how they are offered, and how they tell faults that are not the model's. */

import { describe, expect, test } from 'vitest';
import type { TestApp } from '../support/http-app.ts';
import { hourly, openTools, toolWays } from '../support/tool-client.ts';

test('both ways offer the same seven tools, whole and at once', async () => {
  const [inProcess, overHttp] = await Promise.all(
    toolWays.map(async (way) => (await openTools(way)).client.listTools()),
  );

  expect(inProcess).toEqual(overHttp);
  expect(inProcess?.tools.map(({ name }) => name)).toEqual([
    'send_message',
    'schedule_task',
    'list_tasks',
    'pause_task',
    'resume_task',
    'cancel_task',
    'update_task',
  ]);
  for (const tool of inProcess?.tools ?? []) {
    expect(tool.inputSchema.additionalProperties).toBe(false);
    expect(tool._meta).toEqual({ 'anthropic/alwaysLoad': true });
  }
});

describe.each(toolWays)('%s', (way) => {
  test('a task that cannot be made durable is an error, is not there, and the operator is told', async () => {
    const { app, call, reported } = await openTools(way);
    app.breakVolumeAtSync();

    const answer = await call('schedule_task', hourly);

    expect(answer).toEqual({
      text: 'the task could not be written to the persistent volume and was withdrawn; look before you send it again',
      isError: true,
    });
    expect(app.rows()).toMatchObject({ scheduled_tasks: 0 });
    if (way === 'in process')
      expect(toolFailures(app)).toMatchObject([{ tool: 'schedule_task', run_id: 'run-of-a-test' }]);
    else expect(reported).toMatchObject([{ tool: 'schedule_task', error: { code: 'not_durable' } }]);
  });

  test('a bug is an error without anything internal in it, and the operator is told', async () => {
    const { app, call, reported } = await openTools(way, {
      store: (real) => ({ ...real, listTasks: () => Promise.reject(new Error('secret of the database')) }),
    });

    expect(await call('list_tasks')).toEqual({ text: 'internal error', isError: true });
    if (way === 'in process') expect(toolFailures(app)).toMatchObject([{ err: { message: 'secret of the database' } }]);
    else expect(reported).toMatchObject([{ tool: 'list_tasks', error: { code: 'internal_error' } }]);
  });

  test('an unknown tool is an error that names those that there are', async () => {
    const { call } = await openTools(way);

    const { text, isError } = await call('delete_everything');

    expect(isError).toBe(true);
    expect(text).toMatch(/^no such tool: delete_everything; there are send_message, .*update_task$/);
  });
});

function toolFailures(app: TestApp) {
  return app.logs().filter(({ msg }) => msg === 'a tool failed');
}
