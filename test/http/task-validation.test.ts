/** What is not a task is refused, field by field, and nothing of it is stored: no task, no conversation, no run. */

import { describe, expect, it } from 'vitest';
import { expectProblem, faultsOf, startApp, type TestApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import type { Answer, Json } from '../support/http-instance.ts';
import { makeTask, minutely, readTask, soon } from '../support/http-tasks.ts';

type Case = [what: string, body: Json, faults: Record<string, string>];

const idRule = 'must be 1 to 64 letters, digits, ".", "_" or "-", and begin with a letter or digit';
const intervalRule =
  'must be whole milliseconds for an interval, in digits, 1000 to 3153600000000, such as "3600000" for an hour';
const onceRule = 'must be a local time for once, YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS, without a zone';
const cronRule =
  'must have 5 fields for cron, or 6 with seconds, or be one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly';
const zoneRule = 'must be a time zone of the IANA database, such as "Europe/Berlin"';
const groupRule = 'is required with context_mode "group"; the task runs in it';

const interval = (schedule_value: string): Json => ({ schedule_type: 'interval', schedule_value });
const once = (schedule_value: string): Json => ({ schedule_type: 'once', schedule_value });
const cron = (schedule_value: string): Json => ({ schedule_type: 'cron', schedule_value });

/** Wrong in a new task and in a change alike. */
const faulty: Case[] = [
  ['a prompt that is a number', { prompt: 7 }, { prompt: 'must be a string; got 7' }],
  ['an empty prompt', { prompt: '' }, { prompt: 'must not be blank' }],
  ['a blank prompt', { prompt: ' \n\t\u3000' }, { prompt: 'must not be blank' }],
  ['a prompt that is null', { prompt: null }, { prompt: 'must be a string; got null' }],
  ['an unknown field', { promt: 'x' }, { promt: 'is not a known field' }],
  ['a field of its state', { next_run: '2026-03-02T12:00:00.000Z' }, { next_run: 'is not a known field' }],
  [
    'a schedule_type that there is not',
    { schedule_type: 'weekly' },
    { schedule_type: 'must be "cron" or "interval" or "once"; got "weekly"' },
  ],
  ['a schedule_value that is a number', { schedule_value: 60_000 }, { schedule_value: 'must be a string; got 60000' }],
  ['an interval of "5m"', interval('5m'), { schedule_value: `${intervalRule}; got "5m"` }],
  ['an interval of "1e6"', interval('1e6'), { schedule_value: `${intervalRule}; got "1e6"` }],
  ['an interval of "10abc"', interval('10abc'), { schedule_value: `${intervalRule}; got "10abc"` }],
  ['an interval of "60000.0"', interval('60000.0'), { schedule_value: `${intervalRule}; got "60000.0"` }],
  ['an interval of "-60000"', interval('-60000'), { schedule_value: `${intervalRule}; got "-60000"` }],
  ['an interval with a blank', interval(' 60000'), { schedule_value: `${intervalRule}; got " 60000"` }],
  ['an interval of less than a second', interval('999'), { schedule_value: `${intervalRule}; got "999"` }],
  ['an interval of 0', interval('0'), { schedule_value: `${intervalRule}; got "0"` }],
  ['an empty interval', interval(''), { schedule_value: `${intervalRule}; got ""` }],
  [
    'an interval beyond a century',
    interval('3153600000001'),
    { schedule_value: `${intervalRule}; got "3153600000001"` },
  ],
  ['a once with a zone', once('2026-07-01T09:00Z'), { schedule_value: `${onceRule}; got "2026-07-01T09:00Z"` }],
  [
    'a once with "+0800"',
    once('2026-07-01T09:00+0800'),
    { schedule_value: `${onceRule}; got "2026-07-01T09:00+0800"` },
  ],
  ['a once with " UTC"', once('2026-07-01T09:00 UTC'), { schedule_value: `${onceRule}; got "2026-07-01T09:00 UTC"` }],
  ['a once without a time', once('2026-07-01'), { schedule_value: `${onceRule}; got "2026-07-01"` }],
  ['a once of "12"', once('12'), { schedule_value: `${onceRule}; got "12"` }],
  [
    'a once on 30 February',
    once('2026-02-30T09:00'),
    { schedule_value: `${onceRule}; "2026-02-30T09:00" is not in the calendar; got "2026-02-30T09:00"` },
  ],
  ['an empty cron', cron(''), { schedule_value: `${cronRule}; got ""` }],
  ['a cron of 4 fields', cron('* * * *'), { schedule_value: `${cronRule}; got "* * * *"` }],
  ['a cron of 7 fields', cron('0 0 0 1 1 * 2027'), { schedule_value: `${cronRule}; got "0 0 0 1 1 * 2027"` }],
  ['a cron of a name that there is not', cron('@reboot'), { schedule_value: `${cronRule}; got "@reboot"` }],
  [
    'a cron that never comes',
    cron('0 0 30 2 *'),
    { schedule_value: '"0 0 30 2 *" names a time that never comes; got "0 0 30 2 *"' },
  ],
  [
    'a schedule_value without end',
    cron('* '.repeat(101)),
    { schedule_value: `must have at most 200 characters; got "${'* '.repeat(20)}"…` },
  ],
  [
    'a context_mode of another case',
    { context_mode: 'Group' },
    { context_mode: 'must be "isolated" or "group"; got "Group"' },
  ],
  ['group without a conversation', { context_mode: 'group' }, { conversation_id: groupRule }],
  ['an empty conversation_id', { conversation_id: '' }, { conversation_id: 'must not be empty; got ""' }],
  ['a blank conversation_id', { conversation_id: ' ' }, { conversation_id: 'must not be blank' }],
  ['a conversation_id that is a number', { conversation_id: 7 }, { conversation_id: 'must be a string; got 7' }],
  [
    'a conversation_id without end',
    { context_mode: 'group', conversation_id: 'c'.repeat(501) },
    { conversation_id: `must have at most 500 characters; got "${'c'.repeat(40)}"…` },
  ],
  ['a zone that is none', { timezone: 'Mars/Olympus' }, { timezone: `${zoneRule}; got "Mars/Olympus"` }],
  ['an offset for a zone', { timezone: '+02:00' }, { timezone: `${zoneRule}; got "+02:00"` }],
  ['an empty zone', { timezone: '' }, { timezone: `${zoneRule}; got ""` }],
  ['a zone that is a number', { timezone: 2 }, { timezone: 'must be a string; got 2' }],
  ['a blank model', { model: ' ' }, { model: 'must not be blank; got " "' }],
  ['0 ms', { max_execution_ms: 0 }, { max_execution_ms: 'must be at least 1; got 0' }],
  ['half a ms', { max_execution_ms: 0.5 }, { max_execution_ms: 'must be an integer; got 0.5' }],
  ['"10" ms', { max_execution_ms: '10' }, { max_execution_ms: 'must be a number; got "10"' }],
  ['0 attempts', { max_attempts: 0 }, { max_attempts: 'must be at least 1; got 0' }],
  ['101 attempts', { max_attempts: 101 }, { max_attempts: 'must be at most 100; got 101' }],
  ['attempts that are null', { max_attempts: null }, { max_attempts: 'must be a number; got null' }],
  [
    'several fields of the wrong type',
    { prompt: 1, schedule_type: 2, context_mode: 3, nope: 4 },
    {
      prompt: 'must be a string; got 1',
      schedule_type: 'must be "cron" or "interval" or "once"; got 2',
      context_mode: 'must be "isolated" or "group"; got 3',
      nope: 'is not a known field',
    },
  ],
  [
    'several broken rules',
    { prompt: ' ', ...interval('5m'), context_mode: 'group', timezone: 'Mars/Olympus' },
    {
      prompt: 'must not be blank',
      schedule_value: `${intervalRule}; got "5m"`,
      conversation_id: groupRule,
      timezone: `${zoneRule}; got "Mars/Olympus"`,
    },
  ],
];

async function expectRefused(app: TestApp, send: () => Promise<Answer>, faults: Record<string, string>) {
  const before = app.rows();
  const answer = await send();
  expectProblem(answer, 400, 'invalid_request');
  expect(faultsOf(answer.body)).toEqual(faults);
  for (const path of Object.keys(faults)) expect(answer.body.detail).toContain(`${path}: `);
  expect(app.rows()).toEqual(before);
  expect(app.agent.requests).toEqual([]);
}

describe('the body of POST /task', () => {
  it.each<Case>([
    ...faulty,
    [
      'nothing in it',
      { prompt: undefined, schedule_type: undefined, schedule_value: undefined },
      {
        prompt: 'is required: must be a string',
        schedule_type: 'is required: must be "cron" or "interval" or "once"',
        schedule_value: 'is required: must be a string',
      },
    ],
    ['an id that is a number', { id: 123 }, { id: 'must be a string; got 123' }],
    ['an empty id', { id: '' }, { id: `${idRule}; got ""` }],
    ['an id with a slash', { id: 'a/b' }, { id: `${idRule}; got "a/b"` }],
    ['an id that begins with a dot', { id: '.a' }, { id: `${idRule}; got ".a"` }],
    ['an id with a line break at its end', { id: 'a\n' }, { id: `${idRule}; got "a\\n"` }],
    ['an id of 65 characters', { id: 'i'.repeat(65) }, { id: `${idRule}; got "${'i'.repeat(40)}"…` }],
    ['the id "check"', { id: 'check' }, { id: 'must not be "check", which is a path of its own: /task/check' }],
    ['the id "trigger"', { id: 'trigger' }, { id: 'must not be "trigger", which is a path of its own: /task/trigger' }],
    ['a status', { status: 'paused' }, { status: 'is not a known field' }],
    ['a zone that is null', { timezone: null }, { timezone: 'must be a string; got null' }],
    ['a model that is null', { model: null }, { model: 'must be a string; got null' }],
    ['a time limit that is null', { max_execution_ms: null }, { max_execution_ms: 'must be a number; got null' }],
    ['a conversation_id that is null', { conversation_id: null }, { conversation_id: 'must be a string; got null' }],
    [
      'a broken rule beside a conversation that is not there',
      { prompt: ' ', context_mode: 'group', conversation_id: 'conv-new' },
      { prompt: 'must not be blank' },
    ],
    [
      'every rule broken',
      { id: '-', prompt: '', ...once('12'), context_mode: 'group', timezone: 'x' },
      {
        id: `${idRule}; got "-"`,
        prompt: 'must not be blank',
        conversation_id: groupRule,
        timezone: `${zoneRule}; got "x"`,
        schedule_value: `${onceRule}; got "12"`,
      },
    ],
  ])('with %s is a 400 that says what is wanted, and nothing is made', async (_, body, faults) => {
    await using app = await startApp({ clock: makeClock() });
    await expectRefused(app, () => app.post('/task', { ...minutely, ...body }), faults);
  });

  it.each([[''], ['[]'], ['"x"'], ['null'], ['{']])('that is %s is a 400', async (body) => {
    await using app = await startApp();
    const answer = await app.send('/task', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    expect(answer.status).toBe(400);
  });

  it.each(['a', '0', 'A-b_c.9', 'i'.repeat(64), 'checked'])('may have the id %s', async (id) => {
    await using app = await startApp({ clock: makeClock() });
    expect(await makeTask(app, { ...soon, id })).toMatchObject({ id });
  });
});

describe('the body of PUT /task/:id', () => {
  it.each<Case>([
    ...faulty,
    ['an id', { id: 'b' }, { id: 'is not a known field' }],
    [
      'a status that there is not',
      { status: 'running' },
      { status: 'must be "active" or "paused" or "completed"; got "running"' },
    ],
    ['a status that is null', { status: null }, { status: 'must be "active" or "paused" or "completed"; got null' }],
    ['only a type that its value is not of', { schedule_type: 'once' }, { schedule_value: `${onceRule}; got "60000"` }],
    [
      'only a value that its type has not',
      { schedule_value: '@daily' },
      { schedule_value: `${intervalRule}; got "@daily"` },
    ],
    [
      'a broken rule beside a conversation that is not there',
      { prompt: ' ', context_mode: 'group', conversation_id: 'conv-new' },
      { prompt: 'must not be blank' },
    ],
  ])('with %s is a 400 that says what is wanted, and nothing is changed', async (_, body, faults) => {
    await using app = await startApp({ clock: makeClock() });
    const task = await makeTask(app, { ...minutely, id: 'a' });
    await expectRefused(app, () => app.put('/task/a', body), faults);
    expect(await readTask(app, 'a')).toEqual(task);
  });

  it('with conversation_id: null is a 400 for a group task', async () => {
    await using app = await startApp({ clock: makeClock() });
    const task = await makeTask(app, { ...soon, id: 'a', context_mode: 'group', conversation_id: 'c' });
    await expectRefused(app, () => app.put('/task/a', { conversation_id: null }), { conversation_id: groupRule });
    expect(await readTask(app, 'a')).toEqual(task);
  });

  it('that is empty is a 400', async () => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    expectProblem(await app.send('/task/a', { method: 'PUT' }), 400, 'invalid_request');
  });
});

describe('the body of POST /task/check', () => {
  it.each<Case>([
    ['a max of 0', { max: 0 }, { max: 'must be at least 1; got 0' }],
    ['a max of 101', { max: 101 }, { max: 'must be at most 100; got 101' }],
    ['a max that is a text', { max: '5' }, { max: 'must be a number; got "5"' }],
    ['a max that is null', { max: null }, { max: 'must be a number; got null' }],
    ['an unknown field', { limit: 5 }, { limit: 'is not a known field' }],
  ])('with %s is a 400, and nothing is run', async (_, body, faults) => {
    const clock = makeClock();
    await using app = await startApp({ clock });
    await makeTask(app, soon);
    clock.advance({ hours: 1 });
    await expectRefused(app, () => app.post('/task/check', body), faults);
  });
});

describe('the body of POST /task/trigger', () => {
  it.each<Case>([
    ['no task_id', {}, { task_id: 'is required: must be a string' }],
    ['a task_id that is a number', { task_id: 123 }, { task_id: 'must be a string; got 123' }],
    ['an empty task_id', { task_id: '' }, { task_id: 'must not be empty; got ""' }],
    ['an unknown field', { task_id: 'a', force: true }, { force: 'is not a known field' }],
  ])('with %s is a 400, and nothing is run', async (_, body, faults) => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, id: 'a' });
    await expectRefused(app, () => app.post('/task/trigger', body), faults);
  });
});

describe('the body of POST /chat/:id/outbound', () => {
  it.each<Case>([
    ['no text', {}, { text: 'is required: must be a string' }],
    ['a text that is a number', { text: 7 }, { text: 'must be a string; got 7' }],
    ['a blank text', { text: ' \n' }, { text: expect.stringContaining('must not be blank') }],
    ['a sender that is null', { text: 'x', sender: null }, { sender: 'must be a string; got null' }],
    ['a blank sender', { text: 'x', sender: ' ' }, { sender: 'must not be blank; got " "' }],
    ['an unknown field', { text: 'x', to: 'y' }, { to: 'is not a known field' }],
  ])('with %s is a 400, and nothing is queued', async (_, body, faults) => {
    await using app = await startApp({ clock: makeClock() });
    await makeTask(app, { ...soon, context_mode: 'group', conversation_id: 'c' });
    await expectRefused(app, () => app.post('/chat/c/outbound', body), faults);
  });
});
