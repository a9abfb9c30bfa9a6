/** Tasks as a model reads them; pure. Times are told in UTC and as the task's zone has them, with the day of the week. */

import { beginningOf } from '../domain/text.ts';
import { toTimezone } from '../domain/timezone.ts';
import type { ToolTask } from './backend.ts';

/** Whether and when it runs next. */
export function describeState(task: ToolTask, now: string): string {
  switch (task.status) {
    case 'active':
      return describeNextRun(task, now);
    case 'paused':
      return 'it is paused, and runs after resume_task';
    case 'completed':
      return 'it is completed, and does not run again';
    default:
      return task.status satisfies never;
  }
}

const maxPromptCharacters = 80;

/** One line, whatever the task holds. */
export function describeTask(task: ToolTask, now: string): string {
  const { id, status, scheduleType, scheduleValue, timezone, contextMode, conversationId, lastRun, lastStatus } = task;
  return [
    oneLine(id),
    status,
    `${scheduleType} "${oneLine(scheduleValue)}"${scheduleType === 'interval' ? '' : ` ${timezone}`}`,
    ...(status === 'active' ? [describeNextRun(task, now)] : []),
    conversationId === null ? contextMode : `${contextMode}, ${oneLine(conversationId)}`,
    lastRun === null
      ? 'has not run yet'
      : `last run ${toSeconds(lastRun)}${lastStatus === null ? '' : ` ${lastStatus}`}`,
    shorten(oneLine(task.prompt)),
  ].join(' | ');
}

function describeNextRun({ nextRun, timezone }: ToolTask, now: string): string {
  if (nextRun === null) return 'no next run';
  const at = `next run ${toSeconds(nextRun)}${describeLocal(nextRun, timezone)}`;
  return nextRun <= now ? `${at}, which is past: it runs as soon as due tasks are looked for` : at;
}

function describeLocal(at: string, timezone: string): string {
  // One that a server elsewhere knows, of a newer database.
  if (toTimezone(timezone) === null) return '';
  const parts = new Intl.DateTimeFormat('en-GB', { timeZone: timezone, ...localFields }).formatToParts(new Date(at));
  const part = (type: Intl.DateTimeFormatPartTypes) => parts.find((each) => each.type === type)?.value ?? '';
  const day = `${part('year')}-${part('month')}-${part('day')}`;
  return ` (${part('weekday')} ${day}T${part('hour')}:${part('minute')}:${part('second')} ${timezone})`;
}

const localFields = {
  hourCycle: 'h23',
  weekday: 'long',
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
} as const;

function toSeconds(at: string): string {
  return at.replace(/\.\d+Z$/, 'Z');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

function shorten(text: string): string {
  return text.length > maxPromptCharacters ? `${beginningOf(text, maxPromptCharacters)}…` : text;
}
