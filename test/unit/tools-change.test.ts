/** The tools that change a task, over real operations and a real database, in process and over HTTP: both say and do the same. */

import { describe, expect, test } from 'vitest';
import { hourly, hourMs, openTools, toolWays } from '../support/tool-client.ts';

describe.each(toolWays)('%s', (way) => {
  test('pausing and resuming a task in time leaves its next run as it was', async () => {
    const { call, pass, stored } = await openTools(way);
    await call('schedule_task', hourly);
    pass(hourMs / 2);

    expect(await call('pause_task', { task_id: 'hourly' })).toEqual({ text: 'Task hourly paused.', isError: false });
    expect(await stored('hourly')).toMatchObject({ status: 'paused' });

    expect(await call('resume_task', { task_id: 'hourly' })).toEqual({
      text: 'Task hourly resumed; next run 2026-02-27T13:00:00Z (Friday 2026-02-27T14:00:00 Europe/Berlin).',
      isError: false,
    });
    expect(await stored('hourly')).toMatchObject({ status: 'active', next_run: '2026-02-27T13:00:00.000Z' });
  });

  test('a task that is resumed after its time goes on with the next one', async () => {
    const { call, pass, stored } = await openTools(way);
    await call('schedule_task', hourly);
    await call('pause_task', { task_id: 'hourly' });
    pass(30 * 24 * hourMs + 60_000);

    const { text } = await call('resume_task', { task_id: 'hourly' });

    expect(text).toMatch(/^Task hourly resumed; next run 2026-03-29T13:00:00Z/);
    expect(await stored('hourly')).toMatchObject({ next_run: '2026-03-29T13:00:00.000Z' });
  });

  test('a task whose one time is past and used up cannot be resumed or paused, and the errors say what would do', async () => {
    const { app, call, pass, stored } = await openTools(way);
    await call('schedule_task', { ...hourly, schedule_type: 'once', schedule_value: '2026-02-27T13:30:00' });
    pass(hourMs);
    await app.post('/task/check', {});

    expect(await call('resume_task', { task_id: 'hourly' })).toEqual({
      text: 'the one time of the task is past; give it a new schedule with update_task',
      isError: true,
    });
    expect(await call('pause_task', { task_id: 'hourly' })).toEqual({
      text: 'the task is completed and cannot be paused; to have it run again, give it a new schedule with update_task',
      isError: true,
    });
    expect(await stored('hourly')).toMatchObject({ status: 'completed' });
    const schedule_value = '2026-02-28T13:30:00';
    expect((await call('update_task', { task_id: 'hourly', schedule_value })).isError).toBe(false);
    expect(await stored('hourly')).toMatchObject({ status: 'active', next_run: '2026-02-28T12:30:00.000Z' });
  });

  test('a paused task with a schedule that 1.x took and nobody can keep is resumed by a new one, as the error says', async () => {
    const { app, call, stored } = await openTools(way);
    await call('schedule_task', hourly);
    app.sql("update scheduled_tasks set status = 'paused', next_run = null, schedule_value = '5m' where id = 'hourly'");

    const { text, isError } = await call('resume_task', { task_id: 'hourly' });

    expect(isError).toBe(true);
    expect(text).toMatch(
      /^the schedule_value of the task must be whole milliseconds .*; got "5m"; give it a new schedule with update_task$/,
    );
    await call('update_task', { task_id: 'hourly', schedule_value: '300000' });
    expect((await call('resume_task', { task_id: 'hourly' })).isError).toBe(false);
    expect(await stored('hourly')).toMatchObject({ status: 'active', next_run: '2026-02-27T12:05:00.000Z' });
  });

  test('an update that leaves a task nothing but a time that is past is told as that', async () => {
    const { app, call, pass } = await openTools(way);
    await call('schedule_task', hourly);
    app.sql(
      "update scheduled_tasks set status = 'paused', next_run = null, schedule_value = '2026-02-27T13:30' where id = 'hourly'",
    );
    pass(hourMs);

    expect(await call('update_task', { task_id: 'hourly', schedule_type: 'once' })).toEqual({
      text: 'the one time of the task is past; give it a new schedule with update_task',
      isError: true,
    });
  });

  test('a canceled task is gone', async () => {
    const { app, call } = await openTools(way);
    await call('schedule_task', hourly);

    expect(await call('cancel_task', { task_id: 'hourly' })).toEqual({ text: 'Task hourly canceled.', isError: false });
    expect((await app.send('/task/hourly')).status).toBe(404);
  });

  test.each(['pause_task', 'resume_task', 'cancel_task', 'update_task'])(
    '%s of an unknown task is an error',
    async (tool) => {
      const { app, call, stored } = await openTools(way);
      await app.post('/task', hourly);
      const change = tool === 'update_task' ? { prompt: 'Other.' } : {};

      for (const id of ['unknown', '..', 'a/b?c#d', 'check', 'Hourly'])
        expect(await call(tool, { task_id: id, ...change })).toEqual({ text: `task not found: ${id}`, isError: true });
      expect(await call(tool, { task_id: '', ...change })).toEqual({
        text: 'task_id: must not be empty; got ""',
        isError: true,
      });
      expect((await call(tool, { task_id: 'a'.repeat(501), ...change })).text).toMatch(
        /^task_id: must have at most 500 characters; got "a{40}"…$/,
      );
      expect(await stored('hourly')).toMatchObject({ prompt: 'Look.', status: 'active' });
    },
  );

  test('a new prompt leaves the next run as it is', async () => {
    const { call, pass, stored } = await openTools(way);
    await call('schedule_task', hourly);
    pass(hourMs / 2);

    const { text } = await call('update_task', { task_id: 'hourly', prompt: 'Look twice.' });

    expect(text).toMatch(/^Task hourly updated; next run 2026-02-27T13:00:00Z/);
    expect(await stored('hourly')).toMatchObject({ prompt: 'Look twice.', next_run: '2026-02-27T13:00:00.000Z' });
  });

  test('a new schedule begins anew, and reactivates a completed task', async () => {
    const { app, call, pass, stored } = await openTools(way);
    await call('schedule_task', hourly);
    await app.put('/task/hourly', { status: 'completed' });
    pass(hourMs / 2);

    const { text } = await call('update_task', { task_id: 'hourly', schedule_value: '60000' });

    expect(text).toMatch(/^Task hourly updated; next run 2026-02-27T12:31:00Z/);
    expect(await stored('hourly')).toMatchObject({ status: 'active', schedule_value: '60000' });
  });

  test('an update says of a task that is paused or completed that it is', async () => {
    const { app, call } = await openTools(way);
    await call('schedule_task', hourly);
    await call('pause_task', { task_id: 'hourly' });
    expect((await call('update_task', { task_id: 'hourly', prompt: 'A.' })).text).toBe(
      'Task hourly updated; it is paused, and runs after resume_task.',
    );
    await app.put('/task/hourly', { status: 'completed' });
    expect((await call('update_task', { task_id: 'hourly', prompt: 'B.' })).text).toBe(
      'Task hourly updated; it is completed, and does not run again.',
    );
  });

  test.each<[string, object, RegExp]>([
    ['nothing', {}, /^nothing is to be changed; give prompt, /],
    [
      'a schedule that cannot be kept',
      { schedule_type: 'cron' },
      /^schedule_value: must have 5 fields .*; got "3600000"$/,
    ],
    [
      'a schedule without end',
      { schedule_value: '9'.repeat(201) },
      /^schedule_value: must have at most 200 characters; got "9{40}"…$/,
    ],
    ['a blank prompt', { prompt: '' }, /^prompt: must not be blank/],
    [
      'a group for a task without a conversation',
      { context_mode: 'group' },
      /^context_mode: group needs a conversation/,
    ],
    ['what cannot be changed', { status: 'active' }, /^status: is not a known field$/],
  ])('an update with %s is an error, and changes nothing', async (_, changes, wanted) => {
    const { call, stored } = await openTools(way);
    await call('schedule_task', hourly);
    const before = await stored('hourly');

    const { text, isError } = await call('update_task', { task_id: 'hourly', ...changes });

    expect(isError).toBe(true);
    expect(text).toMatch(wanted);
    expect(await stored('hourly')).toEqual(before);
  });

  test('a task that belongs to a conversation can be moved into it', async () => {
    const { call, stored, conversationId } = await openTools(way, { inConversation: true });
    await call('schedule_task', { ...hourly, context_mode: 'isolated' });

    expect((await call('update_task', { task_id: 'hourly', context_mode: 'group' })).isError).toBe(false);

    expect(await stored('hourly')).toMatchObject({ context_mode: 'group', conversation_id: conversationId });
  });
});
