/**
 * Local times against an oracle that knows nothing but `Intl`: it walks over the days around a change of the clocks minute by
 * minute, and looks at a clock on the wall.
 *
 * - A time of the wall clock is due in the first minute that shows it, or, where no minute does, in the minute that jumps over it.
 * - A rhythm (`*` as the hour) is due in every minute that shows it.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstSlot, nextSlot } from '../../src/domain/schedule.ts';

const seed = 20_260_329;
const parameters = { seed, verbose: 1 } as const;

const minuteMs = 60_000;
const dayMs = 86_400_000;

/** When clocks change, UTC. Of Kolkata no change is known. */
const changes = [
  ['America/New_York', '2026-03-08T07:00Z'],
  ['America/New_York', '2026-11-01T06:00Z'],
  ['Europe/Berlin', '2026-03-29T01:00Z'],
  ['Europe/Berlin', '2026-10-25T01:00Z'],
  // By half an hour.
  ['Australia/Lord_Howe', '2026-04-04T15:00Z'],
  ['Australia/Lord_Howe', '2026-10-03T15:30Z'],
  // At midnight.
  ['America/Havana', '2026-03-08T05:00Z'],
  ['America/Havana', '2026-11-01T05:00Z'],
  ['America/Santiago', '2026-04-05T03:00Z'],
  ['America/Santiago', '2026-09-06T04:00Z'],
  // By two hours.
  ['Antarctica/Troll', '2026-03-29T01:00Z'],
  ['Antarctica/Troll', '2026-10-25T01:00Z'],
  ['Asia/Kolkata', '2026-06-15T00:00Z'],
] as const;

type Place = { timezone: string; change: number };
const place = fc.constantFrom(
  ...changes.map(([timezone, change]): Place => ({ timezone, change: Date.parse(change) })),
);

describe(`around a change of the clocks (seed ${seed})`, () => {
  it('the clocks do change there, and where the table says', () => {
    for (const [timezone, change] of changes) {
      const { walls, from } = readWalls({ timezone, change: Date.parse(change) });
      const jumps = walls.flatMap((wall, n) =>
        n > 0 && wall !== (walls[n - 1] ?? 0) + 1 ? [from + n * minuteMs] : [],
      );
      expect([timezone, jumps]).toEqual([timezone, timezone === 'Asia/Kolkata' ? [] : [Date.parse(change)]]);
    }
  });

  it('a cron of wall-clock times is due when the wall clock says so, once', () => {
    const hour = anyField(23).filter(({ values }) => values.length < 24);
    fc.assert(
      fc.property(place, anyField(59), hour, days, start, (at, minute, hours, day, offset) => {
        expectSlots(at, {
          value: `${minute.text} ${hours.text} ${day.text}`,
          offset,
          spanMs: dayMs,
          isDue: ({ wall, before, seen }) =>
            (wall > before ? numbers(before + 1, wall) : [wall]).some(
              (shown) => !seen.has(shown) && matches(shown, { minute, hours, day }),
            ),
        });
      }),
      { ...parameters, numRuns: 300 },
    );
  });

  it('a cron for every hour is due whenever the wall clock shows its minute', () => {
    fc.assert(
      fc.property(place, anyField(59), days, start, (at, minute, day, offset) => {
        expectSlots(at, {
          value: `${minute.text} * ${day.text}`,
          offset,
          spanMs: dayMs / 4,
          isDue: ({ wall }) => matches(wall, { minute, hours: null, day }),
        });
      }),
      { ...parameters, numRuns: 100 },
    );
  });

  it('a once is due when the wall clock shows it for the first time, or jumps over it', () => {
    const minutes = fc.integer({ min: -2 * 1440, max: 2 * 1440 });
    fc.assert(
      fc.property(place, minutes, (at, offset) => {
        const { walls, from } = readWalls(at);
        const wanted = (walls[Math.round((at.change - from) / minuteMs)] ?? 0) + offset;
        const value = new Date(wanted * minuteMs).toISOString().slice(0, 16);
        const index = walls.findIndex((wall, n) => wall === wanted || (wall > wanted && (walls[n - 1] ?? 0) < wanted));
        const due = new Date(from + index * minuteMs).toISOString();
        const slot = firstSlot({ type: 'once', value, timezone: at.timezone }, '2026-01-01T00:00:00.000Z');
        expect({ value, ...slot }).toEqual({ value, kind: 'slot', at: due });
      }),
      { ...parameters, numRuns: 500 },
    );
  });
});

/** Minutes since 1970 that the wall clock shows, one for each real minute from `from` on: four days to either side of the change. */
function readWalls({ timezone, change }: Place): { walls: number[]; from: number } {
  const key = `${timezone} ${change}`;
  const from = change - 4 * dayMs;
  const known = wallsRead.get(key);
  if (known) return { walls: known, from };
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  });
  const walls = numbers(0, 8 * 1440).map((n) => {
    const shown: Record<string, number> = {};
    for (const { type, value } of format.formatToParts(from + n * minuteMs)) shown[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0 } = shown;
    return Date.UTC(year, month - 1, day, hour, minute) / minuteMs;
  });
  wallsRead.set(key, walls);
  return { walls, from };
}

const wallsRead = new Map<string, number[]>();

/** What the wall clock shows, what it showed a minute before, and all that it has shown or jumped over until then. */
type Look = { wall: number; before: number; seen: Set<number> };

function expectSlots(
  at: Place,
  { value, offset, spanMs, isDue }: { value: string; offset: number; spanMs: number; isDue: (look: Look) => boolean },
): void {
  const { walls, from } = readWalls(at);
  const begin = at.change + offset * minuteMs;
  const end = begin + spanMs;
  const seen = new Set<number>();
  const expected: string[] = [];
  for (let n = 1; n < walls.length; n++) {
    const [before = 0, wall = 0] = [walls[n - 1], walls[n]];
    const real = from + n * minuteMs;
    if (real > begin && real <= end && isDue({ wall, before, seen })) expected.push(new Date(real).toISOString());
    for (const shown of wall > before ? numbers(before + 1, wall) : [wall]) seen.add(shown);
  }
  const found: string[] = [];
  for (let now = new Date(begin).toISOString(); ; ) {
    const next = nextSlot({ type: 'cron', value, timezone: at.timezone }, { slot: now, now });
    // What does not come in this time, such as the 31st of a short month, may come later or never.
    if (next.kind !== 'slot' || Date.parse(next.at) > end) break;
    found.push(next.at);
    now = next.at;
  }
  expect({ ...at, value, begin: new Date(begin).toISOString(), slots: found }).toEqual({
    ...at,
    value,
    begin: new Date(begin).toISOString(),
    slots: expected,
  });
}

type Field = { text: string; values: number[] };
type Days = { text: string; ofMonth: number[] | null; ofWeek: number[] | null };

function matches(wall: number, cron: { minute: Field; hours: Field | null; day: Days }): boolean {
  const date = new Date(wall * minuteMs);
  if (!cron.minute.values.includes(date.getUTCMinutes())) return false;
  if (cron.hours !== null && !cron.hours.values.includes(date.getUTCHours())) return false;
  const { ofMonth, ofWeek } = cron.day;
  const isOfMonth = ofMonth?.includes(date.getUTCDate());
  const isOfWeek = ofWeek?.includes(date.getUTCDay());
  // Where both are given, either will do: as cron has it.
  return isOfMonth === undefined && isOfWeek === undefined ? true : isOfMonth === true || isOfWeek === true;
}

function numbers(first: number, last: number, step = 1): number[] {
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, n) => first + n * step);
}

/** Where a search begins, in minutes from the change; mostly in the hours around it. */
const start = fc.oneof(fc.integer({ min: -2 * 1440, max: 1440 }), fc.integer({ min: -180, max: 180 }));

const weekdays = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];
const ofMonth = fc.uniqueArray(fc.integer({ min: 1, max: 31 }), { minLength: 1, maxLength: 6 });
const ofWeek = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 4 });
const days: fc.Arbitrary<Days> = fc.oneof(
  fc.constant({ text: '* * *', ofMonth: null, ofWeek: null }),
  ofMonth.map((list) => ({ text: `${list.join(',')} * *`, ofMonth: list, ofWeek: null })),
  ofWeek.map((list) => ({ text: `* * ${list.map((day) => weekdays[day]).join(',')}`, ofMonth: null, ofWeek: list })),
  fc.tuple(ofMonth, ofWeek).map(([month, week]) => ({
    text: `${month.join(',')} * ${week.join(',')}`,
    ofMonth: month,
    ofWeek: week,
  })),
);

/** A value, a list, a range, a step, everything: the notations that mean a set of numbers from 0 to `max`. */
function anyField(max: number): fc.Arbitrary<Field> {
  const number = fc.integer({ min: 0, max });
  return fc.oneof(
    number.map((value) => ({ text: String(value), values: [value] })),
    // Where clocks change, mostly.
    fc.integer({ min: 0, max: 3 }).map((value) => ({ text: String(value), values: [value] })),
    fc.uniqueArray(number, { minLength: 2, maxLength: 5 }).map((values) => ({ text: values.join(','), values })),
    fc
      .tuple(number, number, fc.integer({ min: 1, max: 20 }))
      .map(([a, b, step]) => [Math.min(a, b), Math.max(a, b), step] as const)
      .map(([low, high, step]) => ({ text: `${low}-${high}/${step}`, values: numbers(low, high, step) })),
    fc.integer({ min: 2, max }).map((step) => ({ text: `*/${step}`, values: numbers(0, max, step) })),
    fc.constant({ text: '*', values: numbers(0, max) }),
  );
}
