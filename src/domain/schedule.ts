/**
 * When a task is due; pure. Times in and out are UTC, ISO 8601; cron expressions and local times are read in the schedule's zone.
 *
 * - A slot is always after the time it is asked for, and asking costs the same after a pause of a second or of ten years.
 * - DST. A wall-clock time that does not exist that day is due at the first instant after the gap, together with all others
 *   in the gap; one that comes twice is due the first time. A cron expression for every hour of the day (`*` as its hour) is
 *   a rhythm instead of wall-clock times, and keeps it through both.
 * - An interval keeps its phase: its slots are whole intervals after the first one, however late a run was.
 */

import { Cron, CronPattern } from 'croner';
import { toTimezone } from './timezone.ts';

export const scheduleTypes = ['cron', 'interval', 'once'] as const;
export type ScheduleType = (typeof scheduleTypes)[number];

export type Schedule = {
  type: ScheduleType;
  /**
   * `cron`: 5 fields, or 6 with seconds, or a name such as `@daily`. `interval`: whole milliseconds, digits only. `once`:
   * local time, `YYYY-MM-DDTHH:MM[:SS]`.
   */
  value: string;
  /** IANA. */
  timezone: string;
};

export type Slot =
  | { kind: 'slot'; at: string }
  /** There is no further one. */
  | { kind: 'none' }
  | { kind: 'invalid'; message: string };

export const minIntervalMs = 1000;
/** A hundred years: what lies further off is a slip, and leaves the range of dates. */
const maxIntervalMs = 100 * 365 * 86_400_000;
/** Longer than any value that means something. */
export const maxScheduleCharacters = 200;

/** The first slot of a schedule that is made at `now`. A `once` may lie in the past: it is due at once. */
export function firstSlot(schedule: Schedule, now: string): Slot {
  switch (schedule.type) {
    case 'cron':
      return nextOfCron(schedule, now);
    case 'interval': {
      const intervalMs = toIntervalMs(schedule.value);
      return typeof intervalMs === 'number' ? slotAt(Date.parse(now) + intervalMs) : intervalMs;
    }
    case 'once':
      return toOnce(schedule);
    default:
      return schedule.type satisfies never;
  }
}

/** The slot that follows on `slot` and is after `now`. */
export function nextSlot(schedule: Schedule, { slot, now }: { slot: string; now: string }): Slot {
  switch (schedule.type) {
    case 'cron':
      // The clock may have been set back during the run.
      return nextOfCron(schedule, now > slot ? now : slot);
    case 'interval': {
      const intervalMs = toIntervalMs(schedule.value);
      if (typeof intervalMs !== 'number') return intervalMs;
      const elapsedMs = Math.max(Date.parse(now) - Date.parse(slot), 0);
      return slotAt(Date.parse(slot) + (Math.floor(elapsedMs / intervalMs) + 1) * intervalMs);
    }
    case 'once':
      return { kind: 'none' };
    default:
      return schedule.type satisfies never;
  }
}

/** Later ones are written with a sign and would sort before all others. */
const lastMs = Date.parse('9999-12-31T23:59:59.999Z');

function slotAt(ms: number): Slot {
  return ms <= lastMs ? { kind: 'slot', at: new Date(ms).toISOString() } : invalid('lies beyond the year 9999');
}

function invalid(message: string): Extract<Slot, { kind: 'invalid' }> {
  return { kind: 'invalid', message };
}

function unknownZone(timezone: string): Extract<Slot, { kind: 'invalid' }> {
  return invalid(`needs its time zone, and "${timezone}" is not known here`);
}

function toIntervalMs(value: string): number | Extract<Slot, { kind: 'invalid' }> {
  const ms = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (ms >= minIntervalMs && ms <= maxIntervalMs) return ms;
  return invalid(
    `must be whole milliseconds for an interval, in digits, ${minIntervalMs} to ${maxIntervalMs}, such as "3600000" for an hour`,
  );
}

/** croner has `@reboot` too, which nothing here could keep. */
const cronNames = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'];

function nextOfCron({ value, timezone }: Schedule, now: string): Slot {
  const pattern = toPattern(value);
  if (typeof pattern !== 'string') return pattern;
  if (toTimezone(timezone) === null) return unknownZone(timezone);
  const next = new Cron(pattern, { ...cronOptions, timezone }).nextRun(new Date(now));
  return next === null ? invalid(`"${value}" names a time that never comes`) : slotAt(next.getTime());
}

/** `no-wildcard`: lists and ranges are wall-clock times as single values are. */
const cronOptions = { paused: true, fixedTimeRule: 'no-wildcard' } as const;

/** In croner's syntax, with wall-clock times written out: it would take those of a step (such as every 15 minutes) for a rhythm. */
function toPattern(value: string): string | Extract<Slot, { kind: 'invalid' }> {
  const fields = value.trim().split(/\s+/);
  const isName = cronNames.includes(value.trim().toLowerCase());
  if (value.length > maxScheduleCharacters || !(isName || fields.length === 5 || fields.length === 6))
    return invalid(`must have 5 fields for cron, or 6 with seconds, or be one of ${cronNames.join(', ')}`);
  try {
    const parsed = new CronPattern(value.trim());
    if (isName || parsed.hour.every((set) => set === 1)) return value.trim();
    const times = [parsed.second, parsed.minute, parsed.hour].map((set) =>
      set.flatMap((on, number) => (on === 1 ? [number] : [])).join(','),
    );
    return [...times, ...fields.slice(-3)].join(' ');
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace('CronPattern: ', '') : String(error);
    return invalid(`is not a cron expression: ${reason}`);
  }
}

const localTime = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2})(?::(\d{2}))?$/;

/** A cron expression with a year knows the calendar, the zone and DST already. */
function toOnce({ value, timezone }: Schedule): Slot {
  const wanted = 'must be a local time for once, YYYY-MM-DDTHH:MM or YYYY-MM-DDTHH:MM:SS, without a zone';
  const [, year, month, day, hour, minute, second = '00'] = localTime.exec(value) ?? [];
  if (year === undefined) return invalid(wanted);
  if (toTimezone(timezone) === null) return unknownZone(timezone);
  const none = invalid(`${wanted}; "${value}" is not in the calendar`);
  try {
    const at = new Cron([second, minute, hour, day, month, '*', year].join(' '), { ...cronOptions, timezone });
    // No zone is further from UTC than a day.
    const before = Date.parse(`${year}-${month}-${day}T00:00:00Z`) - 2 * 86_400_000;
    const slot = Number.isNaN(before) ? null : at.nextRun(new Date(before));
    return slot === null ? none : slotAt(slot.getTime());
  } catch {
    return none;
  }
}
