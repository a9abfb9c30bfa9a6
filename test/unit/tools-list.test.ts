/** `list_tasks`, in process and over HTTP, and where there are more tasks than a model should be shown. */

import { describe, expect, test } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import type { ToolTask } from '../../src/tools/backend.ts';
import { listAllTasks } from '../../src/tools/list-tasks.ts';
import type { TestApp } from '../support/http-app.ts';
import { hourly, hourMs, openTools, start, toolWays } from '../support/tool-client.ts';

describe.each(toolWays)('%s', (way) => {
  test('the list is empty, or has a line for each task, those that may still run first', async () => {
    const { app, call, pass, conversationId } = await openTools(way, { inConversation: true });
    expect(await call('list_tasks')).toEqual({ text: 'No tasks found.', isError: false });
    await app.post('/task', { ...hourly, prompt: `Look\n  for ${'a'.repeat(100)}` });
    await app.post('/task', { ...hourly, id: 'done' });
    await app.put('/task/done', { status: 'completed' });
    const cron = { schedule_type: 'cron', schedule_value: '0 9 * * 1-5', context_mode: 'group' };
    await app.post('/task', { ...hourly, ...cron, id: 'report', conversation_id: conversationId });
    pass(hourMs);
    await app.post('/task/check', {});
    await app.put('/task/report', { status: 'paused' });

    expect((await call('list_tasks')).text.split('\n')).toEqual([
      'hourly | active | interval "3600000" | next run 2026-02-27T14:00:00Z (Friday 2026-02-27T15:00:00 Europe/Berlin) | ' +
        `isolated | last run 2026-02-27T13:00:00Z success | Look for ${'a'.repeat(71)}…`,
      `report | paused | cron "0 9 * * 1-5" Europe/Berlin | group, ${conversationId} | has not run yet | Look.`,
      'done | completed | interval "3600000" | isolated | has not run yet | Look.',
    ]);
  });

  test('of very many tasks the completed ones are left out, and the list says how many', async () => {
    const { app, call } = await openTools(way);
    await insertTask(app, { id: 'oldest' });
    for (let at = 0; at < 203; at++) {
      await insertTask(app, { id: `done-${at}`, status: 'completed', nextRun: null, createdAt: laterBy(at + 1) });
    }

    const lines = (await call('list_tasks')).text.split('\n');

    expect(lines).toHaveLength(201);
    expect(lines[0]).toMatch(/^oldest \| active/);
    expect(lines[1]).toMatch(/^done-202 \|/);
    expect(lines[199]).toMatch(/^done-4 \|/);
    expect(lines[200]).toBe('4 further tasks are not listed; they can be named by their ids.');
  });
});

test('a task is one line, whatever its ids hold', async () => {
  const task = makeTask({ id: 'old\nid', contextMode: 'group', conversationId: 'mine\nreport | active' });
  const listTasks = async () => ({ items: [task], nextCursor: null });

  expect(await listAllTasks({ listTasks }, start)).toMatch(/^old id \| .* \| group, mine report \| active \| .*$/);
});

test('tasks are read up to a bound, and what may lie beyond is not counted', async () => {
  const asked: (string | null)[] = [];
  const listTasks = async (cursor: string | null) => {
    asked.push(cursor);
    const page = asked.length;
    const items = Array.from({ length: 200 }, (_, at) => makeTask({ id: `task-${page}-${at}` }));
    return { items, nextCursor: `page ${page + 1}` };
  };

  const lines = (await listAllTasks({ listTasks }, start)).split('\n');

  expect(asked).toEqual([null, ...Array.from({ length: 9 }, (_, at) => `page ${at + 2}`)]);
  expect(lines).toHaveLength(201);
  expect(lines[200]).toBe('More than 1800 further tasks are not listed; they can be named by their ids.');
});

test('a prompt is cut between characters, and a zone that is not known here is left out', async () => {
  const task = makeTask({
    prompt: `${'a'.repeat(79)}🎉 and more`,
    scheduleType: 'cron',
    scheduleValue: '0 9 * * *',
    timezone: 'Mars/Olympus',
  });

  expect(await listAllTasks({ listTasks: async () => ({ items: [task], nextCursor: null }) }, start)).toBe(
    `task-1 | active | cron "0 9 * * *" Mars/Olympus | next run 2026-02-27T13:00:00Z | isolated | has not run yet | ${'a'.repeat(79)}…`,
  );
});

test('an active task without a next time says so', async () => {
  const task = makeTask({ nextRun: null });

  expect(await listAllTasks({ listTasks: async () => ({ items: [task], nextCursor: null }) }, start)).toContain(
    '| no next run |',
  );
});

function makeTask(changed: Partial<ToolTask>): ToolTask {
  return {
    id: 'task-1',
    conversationId: null,
    prompt: 'Look.',
    scheduleType: 'interval',
    scheduleValue: '3600000',
    contextMode: 'isolated',
    timezone: 'UTC',
    nextRun: '2026-02-27T13:00:00.000Z',
    lastRun: null,
    lastStatus: null,
    status: 'active',
    ...changed,
  };
}

async function insertTask(app: TestApp, changed: Partial<Task>): Promise<void> {
  const task: Task = { ...plainTask, ...changed };
  await app.store.insertTask({ task, createConversation: false, at: task.createdAt });
}

function laterBy(seconds: number): string {
  return new Date(Date.parse(start) + seconds * 1_000).toISOString();
}

const plainTask: Task = {
  id: 'plain',
  conversationId: null,
  prompt: 'Look.',
  scheduleType: 'interval',
  scheduleValue: String(hourMs),
  contextMode: 'isolated',
  timezone: null,
  nextRun: '2026-02-27T13:00:00.000Z',
  lastRun: null,
  lastResult: null,
  lastStatus: null,
  status: 'active',
  createdAt: start,
  model: null,
  maxExecutionMs: null,
  maxAttempts: 3,
  attempts: 0,
};
