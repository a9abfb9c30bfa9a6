/** The rules of a task after its runs, and what its run is asked. */

import { describe, expect, it } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import type { TerminalRunStatus } from '../../src/domain/run.ts';
import { decideAfterRun, renderTaskPrompt, summarizeRun, type Task } from '../../src/domain/task.ts';

const slot = '2026-06-01T08:00:00.000Z';
const now = '2026-06-01T08:03:20.000Z';

const task: Task = {
  id: 'water',
  conversationId: null,
  prompt: 'Water the plants.',
  scheduleType: 'interval',
  scheduleValue: '60000',
  contextMode: 'isolated',
  timezone: null,
  nextRun: slot,
  lastRun: null,
  lastResult: null,
  lastStatus: null,
  status: 'active',
  createdAt: '2026-05-01T00:00:00.000Z',
  model: null,
  maxExecutionMs: null,
  maxAttempts: 3,
  attempts: 1,
};

function decide(status: TerminalRunStatus, changes: Partial<Task> = {}, attempt = 1) {
  return decideAfterRun({ ...task, ...changes }, { status, slot, attempt, now, timezone: 'Europe/Berlin' });
}

describe('after a run', () => {
  it.each(['success', 'timeout', 'error'] as const)('that ended as %s the slot is used up', (status) => {
    expect(decide(status)).toEqual({ nextRun: '2026-06-01T08:04:00.000Z', status: 'active', attempts: 0, fault: null });
  });

  it.each(['cancelled', 'interrupted'] as const)('that was cut off (%s) the slot is tried again', (status) => {
    expect(decide(status)).toEqual({ nextRun: slot, status: 'active', attempts: 1, fault: null });
    expect(decide(status, {}, 2)).toMatchObject({ nextRun: slot, attempts: 2 });
  });

  it.each(['cancelled', 'interrupted'] as const)('the last attempt that is cut off (%s) uses the slot up', (status) => {
    expect(decide(status, {}, 3)).toMatchObject({ nextRun: '2026-06-01T08:04:00.000Z', attempts: 0 });
    expect(decide(status, { maxAttempts: 1 })).toMatchObject({ nextRun: '2026-06-01T08:04:00.000Z', attempts: 0 });
  });

  it('a cron goes on in its own zone, else in that of the server', () => {
    const cron = { scheduleType: 'cron', scheduleValue: '0 9 * * *' } as const;
    expect(decide('success', cron).nextRun).toBe('2026-06-02T07:00:00.000Z');
    expect(decide('success', { ...cron, timezone: 'Asia/Kolkata' }).nextRun).toBe('2026-06-02T03:30:00.000Z');
  });

  it('a once is completed, whether it succeeded or not', () => {
    const once = { scheduleType: 'once', scheduleValue: '2026-06-01T10:00' } as const;
    expect(decide('success', once)).toMatchObject({ nextRun: null, status: 'completed' });
    expect(decide('error', once)).toMatchObject({ nextRun: null, status: 'completed' });
    expect(decide('interrupted', once, 3)).toMatchObject({ nextRun: null, status: 'completed' });
  });

  it('a clock that was set back meanwhile brings no slot back', () => {
    const earlier = '2026-06-01T07:59:30.000Z';
    const run = { status: 'success', slot, attempt: 1, now: earlier, timezone: 'UTC' } as const;
    expect(decideAfterRun(task, run).nextRun).toBe('2026-06-01T08:01:00.000Z');
    const cron = { ...task, scheduleType: 'cron', scheduleValue: '* * * * *' } as const;
    expect(decideAfterRun(cron, run).nextRun).toBe('2026-06-01T08:01:00.000Z');
  });

  it('a zone that is not known here pauses the task and says why', () => {
    const cron = { scheduleType: 'cron', scheduleValue: '0 9 * * *', timezone: 'Mars/Olympus' } as const;
    expect(decide('success', cron)).toMatchObject({
      nextRun: null,
      status: 'paused',
      fault: expect.stringContaining('"Mars/Olympus" is not known here'),
    });
  });

  it('a schedule of 1.x that cannot be kept pauses its task and says why', () => {
    expect(decide('success', { scheduleValue: '5m' })).toMatchObject({
      nextRun: null,
      status: 'paused',
      fault: expect.stringContaining('schedule_value must be whole milliseconds'),
    });
  });
});

describe('what a task keeps of its last run', () => {
  const failed = new Problem('model_auth', 'the key was refused').toBody();

  it.each([
    ['success', 'All green.', null, 'All green.'],
    ['success', null, null, null],
    ['timeout', 'All gr', failed, 'Timeout: All gr'],
    ['timeout', null, failed, 'Timeout'],
    ['error', null, failed, 'Error: the key was refused'],
    ['cancelled', 'half', failed, 'Error: the key was refused'],
  ] as const)('of a run that ended as %s with %j', (status, result, error, expected) => {
    expect(summarizeRun({ status, result, error, pausedBecause: null })).toBe(expected);
  });

  it('is why it was paused, where it was', () => {
    const run = { status: 'success', result: 'Done.', error: null } as const;
    expect(summarizeRun({ ...run, pausedBecause: 'schedule_value has no meaning' })).toBe(
      'Paused: schedule_value has no meaning',
    );
  });

  it('is at most 200 characters, and never half of one', () => {
    expect(summarizeRun({ status: 'success', result: 'x'.repeat(300), error: null, pausedBecause: null })).toHaveLength(
      200,
    );
    const emoji = summarizeRun({ status: 'success', result: `x${'🌱'.repeat(150)}`, error: null, pausedBecause: null });
    expect(emoji).toHaveLength(199);
    expect(emoji?.isWellFormed()).toBe(true);
  });
});

describe('the prompt of a task', () => {
  const place = { attempt: 1, now: '2026-01-05T14:30:00.000Z', timezone: 'America/New_York' };

  it('is marked, and tells the local time in the zone of the task or else of the server', () => {
    expect(renderTaskPrompt(task, place)).toBe(
      '[SCHEDULED TASK]\nLocal time: Monday, January 5, 2026 at 9:30 AM (America/New_York)\n\nWater the plants.',
    );
    expect(renderTaskPrompt({ ...task, timezone: 'Asia/Kolkata' }, place)).toContain(
      'Local time: Monday, January 5, 2026 at 8:00 PM (Asia/Kolkata)\n\n',
    );
  });

  it('has the server’s time where the zone of the task is not known', () => {
    expect(renderTaskPrompt({ ...task, timezone: 'Mars/Olympus' }, place)).toContain('9:30 AM (America/New_York)');
  });

  it('tells of an attempt that was cut off', () => {
    expect(renderTaskPrompt(task, { ...place, attempt: 2 })).toContain(
      '\nAttempt 2 of 3: the one before was cut off and may have done part of the work.\n\nWater the plants.',
    );
  });
});
