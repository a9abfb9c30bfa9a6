/** `schedule_task`, over real operations and a real database, in process and over HTTP: both say and do the same. */

import { describe, expect, test } from 'vitest';
import { hourly, newConversation, openTools, toolWays } from '../support/tool-client.ts';

describe.each(toolWays)('%s', (way) => {
  test('a task is made in the conversation that the agent is in, and the answer says when it runs', async () => {
    const { call, stored, conversationId } = await openTools(way, { inConversation: true });

    const { text, isError } = await call('schedule_task', {
      id: 'report',
      prompt: 'Report the news.',
      schedule_type: 'cron',
      schedule_value: '0 9 * * 1-5',
    });

    expect({ text, isError }).toEqual({
      text: 'Task report created; next run 2026-03-02T08:00:00Z (Monday 2026-03-02T09:00:00 Europe/Berlin).',
      isError: false,
    });
    expect(await stored('report')).toMatchObject({
      conversation_id: conversationId,
      context_mode: 'group',
      prompt: 'Report the news.',
      status: 'active',
      next_run: '2026-03-02T08:00:00.000Z',
    });
  });

  test('a task is read in the zone that it names', async () => {
    const { call, stored } = await openTools(way);

    const { text } = await call('schedule_task', {
      id: 'party',
      prompt: 'Sing.',
      schedule_type: 'once',
      schedule_value: '2026-12-31T23:59',
      timezone: 'Asia/Tokyo',
    });

    expect(text).toBe('Task party created; next run 2026-12-31T14:59:00Z (Thursday 2026-12-31T23:59:00 Asia/Tokyo).');
    expect(await stored('party')).toMatchObject({ timezone: 'Asia/Tokyo', next_run: '2026-12-31T14:59:00.000Z' });
  });

  test('a task without an id gets one, which the answer tells', async () => {
    const { call, stored } = await openTools(way);

    const { id: _, ...nameless } = hourly;
    const { text } = await call('schedule_task', nameless);

    const [, id = ''] = /^Task (task-[0-9a-f-]{36}) created; /.exec(text) ?? [];
    expect(await stored(id)).toMatchObject({ id, prompt: 'Look.' });
  });

  test('one whose time is past is told to be due at once', async () => {
    const { call } = await openTools(way);
    const past = { ...hourly, schedule_type: 'once', schedule_value: '2026-02-27T12:59:59' };

    expect((await call('schedule_task', past)).text).toBe(
      'Task hourly created; next run 2026-02-27T11:59:59Z (Friday 2026-02-27T12:59:59 Europe/Berlin), which is past: it runs ' +
        'as soon as due tasks are looked for.',
    );
  });

  test('without a conversation a task runs by itself', async () => {
    const { call, stored } = await openTools(way);

    await call('schedule_task', hourly);

    expect(await stored('hourly')).toMatchObject({ conversation_id: null, context_mode: 'isolated' });
  });

  test('a task can be made in another conversation, and for a session of its own', async () => {
    const { app, call, stored } = await openTools(way, { inConversation: true });
    const other = await newConversation(app);

    await call('schedule_task', { ...hourly, target_conversation_id: other });
    await call('schedule_task', { ...hourly, id: 'alone', context_mode: 'isolated', target_conversation_id: other });

    expect(await stored('hourly')).toMatchObject({ conversation_id: other, context_mode: 'group' });
    expect(await stored('alone')).toMatchObject({ conversation_id: other, context_mode: 'isolated' });
  });

  const unknownTargets = ['conv-unknown', '..', 'a/b?c'];
  for (const context_mode of ['group', 'isolated']) {
    test.each(unknownTargets)(
      `an unknown conversation is an error of a ${context_mode} task, and is not made: %s`,
      async (target) => {
        const { app, call } = await openTools(way, { inConversation: true });
        const rows = app.rows();

        const answer = await call('schedule_task', { ...hourly, context_mode, target_conversation_id: target });

        // An id that no path can have is a fault of its own, where it is not asked for by a path.
        const text = expect.stringMatching(/^target_conversation_id(?: not found: |: must not be )/);
        expect(answer).toEqual({ text, isError: true });
        expect(answer.text).toContain(target);
        expect(app.rows()).toEqual(rows);
      },
    );
  }

  test('an id that is taken is an error that says what to do', async () => {
    const { call, stored } = await openTools(way);
    await call('schedule_task', hourly);

    expect(await call('schedule_task', { ...hourly, prompt: 'Other.' })).toEqual({
      text: 'a task with id hourly exists; change it with update_task, or take another id',
      isError: true,
    });
    expect(await stored('hourly')).toMatchObject({ prompt: 'Look.' });
  });

  test.each<[string, object, RegExp]>([
    ['a group without a conversation', { context_mode: 'group' }, /^target_conversation_id: is required .*"group"/],
    ['a blank prompt', { prompt: ' \n' }, /^prompt: must not be blank/],
    ['an interval with a unit', { schedule_value: '5m' }, /^schedule_value: must be whole milliseconds.*; got "5m"$/],
    ['an interval below a second', { schedule_value: '999' }, /^schedule_value: .* 1000 /],
    [
      'a cron of four fields',
      { schedule_type: 'cron', schedule_value: '0 9 * *' },
      /^schedule_value: must have 5 fields/,
    ],
    ['an empty cron', { schedule_type: 'cron', schedule_value: '' }, /^schedule_value: must have 5 fields/],
    [
      'a once with a zone',
      { schedule_type: 'once', schedule_value: '2026-03-01T09:00:00Z' },
      /^schedule_value: .*without a zone/,
    ],
    [
      'a day that is not',
      { schedule_type: 'once', schedule_value: '2026-02-30T09:00' },
      /^schedule_value: .*not in the calendar/,
    ],
    [
      'a schedule without end',
      { schedule_value: '9'.repeat(201) },
      /^schedule_value: must have at most 200 characters; got "9{40}"…$/,
    ],
    ['a zone without end', { timezone: 'a'.repeat(101) }, /^timezone: must have at most 100 characters; got "a{40}"…$/],
    [
      'a conversation without end',
      { target_conversation_id: 'a'.repeat(501) },
      /^target_conversation_id: must have at most 500 characters; got "a{40}"…$/,
    ],
    ['an unknown zone', { timezone: 'Mars/Olympus' }, /^timezone: must be a time zone .*; got "Mars\/Olympus"$/],
    ['an id with a blank', { id: 'my task' }, /^id: must be 1 to 64 letters/],
    ['an id that is a path', { id: 'check' }, /^id: must not be "check"/],
    [
      'an unknown type',
      { schedule_type: 'hourly' },
      /^schedule_type: must be "cron" or "interval" or "once"; got "hourly"$/,
    ],
    ['an unknown mode', { context_mode: 'Group' }, /^context_mode: must be .*"group".*; got "Group"$/],
    ['a number for a string', { schedule_value: 3_600_000 }, /^schedule_value: must be a string; got 3600000$/],
    ['null for nothing', { timezone: null }, /^timezone: must be a string; got null$/],
    ['no prompt', { prompt: undefined }, /^prompt: is required: must be a string$/],
    ['an unknown argument', { conversation_id: 'conv-1' }, /^conversation_id: is not a known field$/],
    ['a character that cannot be kept', { prompt: 'a\0b' }, /^prompt: must not hold the character U\+0000/],
    ['half a character', { prompt: 'a\ud83d' }, /^prompt: must be Unicode text/],
  ])('%s is an error that names the argument, and nothing is made', async (_, changed, wanted) => {
    const { app, call } = await openTools(way);

    const { text, isError } = await call('schedule_task', { ...hourly, ...changed });

    expect(isError).toBe(true);
    expect(text).toMatch(wanted);
    expect(app.rows()).toMatchObject({ scheduled_tasks: 0, conversations: 0 });
  });

  test('all that is wrong is told at once', async () => {
    const { call } = await openTools(way);

    expect((await call('schedule_task', { ...hourly, prompt: '', schedule_value: '1h', id: '-' })).text).toMatch(
      /^id: .*; prompt: .*; schedule_value: /,
    );
  });
});
