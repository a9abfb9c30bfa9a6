/** When a task is due: by table, and by what holds for every schedule. Local times have an oracle in schedule-oracle.test.ts. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { firstSlot, nextSlot, type Schedule } from '../../src/domain/schedule.ts';

const seed = 20_261_101;
const parameters = { seed, verbose: 1 } as const;

const newYork = 'America/New_York';
const berlin = 'Europe/Berlin';
const kolkata = 'Asia/Kolkata';
const lordHowe = 'Australia/Lord_Howe';

/** The next slots of a cron, as minutes: `2026-03-08T07:00Z`. */
function walk(value: string, timezone: string, from: string, count: number): string[] {
  const found: string[] = [];
  let now = toTime(from);
  while (found.length < count) {
    const next = nextSlot({ type: 'cron', value, timezone }, { slot: now, now });
    if (next.kind !== 'slot') throw new Error(`${value}: ${next.kind}`);
    found.push(next.at.replace(/:00\.000Z$/, 'Z'));
    now = next.at;
  }
  return found;
}

const toTime = (text: string) => new Date(text).toISOString();

describe('a cron', () => {
  it.each<[value: string, timezone: string, from: string, slots: string[]]>([
    ['30 9 * * *', 'UTC', '2026-03-02T12:00Z', ['2026-03-03T09:30Z', '2026-03-04T09:30Z']],
    ['30 9 * * *', kolkata, '2026-03-02T12:00Z', ['2026-03-03T04:00Z', '2026-03-04T04:00Z']],
    ['0 9-17/4 * * *', berlin, '2026-01-05T00:00Z', ['2026-01-05T08:00Z', '2026-01-05T12:00Z', '2026-01-05T16:00Z']],
    ['*/20 12 * * *', 'UTC', '2026-03-02T12:00Z', ['2026-03-02T12:20Z', '2026-03-02T12:40Z', '2026-03-03T12:00Z']],
    ['0 0 1,15 * *', 'UTC', '2026-03-02T12:00Z', ['2026-03-15T00:00Z', '2026-04-01T00:00Z']],
    ['0 0 1 JAN,jul *', 'UTC', '2026-03-02T12:00Z', ['2026-07-01T00:00Z', '2027-01-01T00:00Z']],
    ['0 9 * * MON-FRI', 'UTC', '2026-03-06T12:00Z', ['2026-03-09T09:00Z', '2026-03-10T09:00Z']],
    ['0 9 * * 0', 'UTC', '2026-03-02T12:00Z', ['2026-03-08T09:00Z', '2026-03-15T09:00Z']],
    ['0 9 * * 7', 'UTC', '2026-03-02T12:00Z', ['2026-03-08T09:00Z', '2026-03-15T09:00Z']],
    ['0 9 ? * MON', 'UTC', '2026-03-02T12:00Z', ['2026-03-09T09:00Z', '2026-03-16T09:00Z']],
    // Either will do.
    ['0 0 13 * FRI', 'UTC', '2026-03-01T00:00Z', ['2026-03-06T00:00Z', '2026-03-13T00:00Z', '2026-03-20T00:00Z']],
    ['0 0 L * *', 'UTC', '2026-01-31T12:00Z', ['2026-02-28T00:00Z', '2026-03-31T00:00Z']],
    ['0 0 * * FRI#2', 'UTC', '2026-03-01T00:00Z', ['2026-03-13T00:00Z', '2026-04-10T00:00Z']],
    ['0 0 29 2 *', 'UTC', '2026-03-01T00:00Z', ['2028-02-29T00:00Z', '2032-02-29T00:00Z']],
    ['0 0 31 * *', 'UTC', '2026-03-01T00:00Z', ['2026-03-31T00:00Z', '2026-05-31T00:00Z']],
    ['@yearly', 'UTC', '2026-03-01T00:00Z', ['2027-01-01T00:00Z']],
    ['@annually', 'UTC', '2026-03-01T00:00Z', ['2027-01-01T00:00Z']],
    ['@monthly', 'UTC', '2026-03-01T00:00Z', ['2026-04-01T00:00Z']],
    ['@weekly', 'UTC', '2026-03-01T00:00Z', ['2026-03-08T00:00Z']],
    ['@daily', berlin, '2026-03-01T00:00Z', ['2026-03-01T23:00Z']],
    ['@midnight', 'UTC', '2026-03-01T00:00Z', ['2026-03-02T00:00Z']],
    ['@hourly', kolkata, '2026-03-01T00:00Z', ['2026-03-01T00:30Z', '2026-03-01T01:30Z']],
    ['@DAILY', 'UTC', '2026-03-01T00:00Z', ['2026-03-02T00:00Z']],
    ['  0   9 *\t* * ', 'UTC', '2026-03-02T12:00Z', ['2026-03-03T09:00Z']],
  ])('%s in %s from %s is due at %j', (value, timezone, from, slots) => {
    expect(walk(value, timezone, from, slots.length)).toEqual(slots);
  });

  it.each<[value: string, from: string, slots: string[]]>([
    ['*/10 * * * * *', '2026-03-02T12:00:00.500Z', ['2026-03-02T12:00:10.000Z', '2026-03-02T12:00:20.000Z']],
    ['15,45 0 9 * * *', '2026-03-02T12:00:00.000Z', ['2026-03-03T09:00:15.000Z', '2026-03-03T09:00:45.000Z']],
    ['59 59 23 31 12 *', '2026-03-02T12:00:00.000Z', ['2026-12-31T23:59:59.000Z']],
  ])('of 6 fields, %s, has seconds first', (value, from, slots) => {
    let now = from;
    for (const slot of slots) {
      expect(nextSlot({ type: 'cron', value, timezone: 'UTC' }, { slot: now, now })).toEqual({
        kind: 'slot',
        at: slot,
      });
      now = slot;
    }
  });

  it.each<[what: string, value: string, timezone: string, from: string, slots: string[]]>([
    // 8 March 2026: 02:00–02:59 is not there in New York; 03:00 is 07:00Z.
    ['a time in the gap', '30 2 * * *', newYork, '2026-03-07T12:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:30Z']],
    [
      'a list in the gap, which is one slot',
      '0,15,45 2 * * *',
      newYork,
      '2026-03-08T05:00Z',
      ['2026-03-08T07:00Z', '2026-03-09T06:00Z', '2026-03-09T06:15Z'],
    ],
    [
      'a step in the gap, which is one slot',
      '*/15 2 * * *',
      newYork,
      '2026-03-08T05:00Z',
      ['2026-03-08T07:00Z', '2026-03-09T06:00Z'],
    ],
    ['every minute in the gap', '* 2 * * *', newYork, '2026-03-08T05:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:00Z']],
    [
      'a time in the gap and the one at its end, which are one slot',
      '0 2-3 * * *',
      newYork,
      '2026-03-08T05:00Z',
      ['2026-03-08T07:00Z', '2026-03-09T06:00Z', '2026-03-09T07:00Z'],
    ],
    [
      'hours two apart',
      '0 */2 * * *',
      newYork,
      '2026-03-08T04:59Z',
      ['2026-03-08T05:00Z', '2026-03-08T07:00Z', '2026-03-08T08:00Z'],
    ],
    [
      'the rhythm of every hour',
      '30 * * * *',
      newYork,
      '2026-03-08T05:00Z',
      ['2026-03-08T05:30Z', '2026-03-08T06:30Z', '2026-03-08T07:30Z'],
    ],
    // 1 November 2026: 01:00–01:59 comes twice in New York, from 05:00Z and from 06:00Z.
    ['a time that comes twice', '30 1 * * *', newYork, '2026-11-01T04:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
    [
      'a time that comes twice, from between the two',
      '30 1 * * *',
      newYork,
      '2026-11-01T05:45Z',
      ['2026-11-02T06:30Z'],
    ],
    [
      'a list that comes twice',
      '0,30 1 * * *',
      newYork,
      '2026-11-01T04:00Z',
      ['2026-11-01T05:00Z', '2026-11-01T05:30Z', '2026-11-02T06:00Z'],
    ],
    [
      'a step that comes twice',
      '*/30 1 * * *',
      newYork,
      '2026-11-01T04:00Z',
      ['2026-11-01T05:00Z', '2026-11-01T05:30Z', '2026-11-02T06:00Z'],
    ],
    [
      'the rhythm of every hour through the hour that comes twice',
      '30 * * * *',
      newYork,
      '2026-11-01T04:00Z',
      ['2026-11-01T04:30Z', '2026-11-01T05:30Z', '2026-11-01T06:30Z', '2026-11-01T07:30Z'],
    ],
    [
      '@hourly through it',
      '@hourly',
      newYork,
      '2026-11-01T04:30Z',
      ['2026-11-01T05:00Z', '2026-11-01T06:00Z', '2026-11-01T07:00Z'],
    ],
    // 29 March 2026: 02:00–02:59 is not there in Berlin; 03:00 is 01:00Z. 25 October: it comes twice, from 00:00Z and from 01:00Z.
    ['a time in the gap', '15 2 * * *', berlin, '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:15Z']],
    ['a time that comes twice', '15 2 * * *', berlin, '2026-10-24T12:00Z', ['2026-10-25T00:15Z', '2026-10-26T01:15Z']],
    [
      'a list on both sides',
      '30 1-3 * * *',
      berlin,
      '2026-10-24T22:30Z',
      ['2026-10-24T23:30Z', '2026-10-25T00:30Z', '2026-10-25T02:30Z'],
    ],
    [
      'a rhythm within the hour',
      '*/30 * * * *',
      berlin,
      '2026-03-29T00:15Z',
      ['2026-03-29T00:30Z', '2026-03-29T01:00Z', '2026-03-29T01:30Z'],
    ],
    // Half an hour: 02:00–02:29 is not there on 4 October 2026; 01:30–01:59 comes twice on 5 April.
    [
      'a time in half an hour’s gap',
      '15 2 * * *',
      lordHowe,
      '2026-10-03T12:00Z',
      ['2026-10-03T15:30Z', '2026-10-04T15:15Z'],
    ],
    [
      'a time that comes twice',
      '45 1 * * *',
      lordHowe,
      '2026-04-04T12:00Z',
      ['2026-04-04T14:45Z', '2026-04-05T15:15Z'],
    ],
    [
      'a rhythm through half an hour that comes twice',
      '45 * * * *',
      lordHowe,
      '2026-04-04T14:00Z',
      ['2026-04-04T14:45Z', '2026-04-04T15:15Z', '2026-04-04T16:15Z'],
    ],
    // Midnight itself is not there on 8 March 2026 in Havana, and comes twice on 1 November.
    [
      'a day’s beginning in the gap',
      '@daily',
      'America/Havana',
      '2026-03-07T12:00Z',
      ['2026-03-08T05:00Z', '2026-03-09T04:00Z'],
    ],
    [
      'a day’s beginning that comes twice',
      '@daily',
      'America/Havana',
      '2026-10-31T12:00Z',
      ['2026-11-01T04:00Z', '2026-11-02T05:00Z'],
    ],
    ['no change at all', '30 2 * * *', kolkata, '2026-03-07T12:00Z', ['2026-03-07T21:00Z', '2026-03-08T21:00Z']],
  ])('where the clocks change: %s, %s in %s from %s, is due at %j', (_, value, timezone, from, slots) => {
    expect(walk(value, timezone, from, slots.length)).toEqual(slots);
  });

  it.each([
    '',
    ' ',
    '*',
    '* * * *',
    '* * * * * * *',
    '0 0 0 1 1 * 2027',
    '@reboot',
    '@every 5m',
    '@daily @daily',
    '60 * * * *',
    '0 24 * * *',
    '* * 0 * *',
    '* * 32 * *',
    '* * * 0 *',
    '* * * 13 *',
    '* * * * 8',
    '60 * * * * *',
    '-1 * * * *',
    '1- * * * *',
    '1,,2 * * * *',
    '10-5 * * * *',
    '*/0 * * * *',
    '*/61 * * * *',
    '5/15 * * * *',
    '1.5 * * * *',
    '0x1 * * * *',
    '\uff11 * * * *',
    'H * * * *',
    '* * * FOO *',
    '* * * * MOO',
    '* * * * *;',
    '$(date) * * * *',
    'every day at nine',
    '2026-03-02T12:00:00',
    '0 0 30 2 *',
    '0 0 31 2,4,6,9,11 *',
    `${'0,'.repeat(120)}0 * * * *`,
    '5m',
    '60000',
  ])('is not %j', (value) => {
    for (const slot of [
      firstSlot({ type: 'cron', value, timezone: 'UTC' }, '2026-03-02T12:00:00.000Z'),
      nextSlot(
        { type: 'cron', value, timezone: newYork },
        { slot: '2026-03-02T12:00:00.000Z', now: '2026-03-02T12:00:00.000Z' },
      ),
    ])
      expect(slot).toEqual({ kind: 'invalid', message: expect.any(String) });
  });

  it('that ends with the years of four digits says so', () => {
    const now = '9999-12-31T12:00:00.000Z';
    expect(nextSlot({ type: 'cron', value: '0 0 1 1 *', timezone: 'UTC' }, { slot: now, now }).kind).toBe('invalid');
  });
});

describe('an interval', () => {
  const interval = (value: string): Schedule => ({ type: 'interval', value, timezone: 'UTC' });
  const begun = '2026-03-02T12:00:00.250Z';

  it.each([
    ['1000', '2026-03-02T12:00:01.250Z'],
    ['90000', '2026-03-02T12:01:30.250Z'],
    ['0001000', '2026-03-02T12:00:01.250Z'],
    ['3153600000000', '2126-02-06T12:00:00.250Z'],
  ])('of %s is due first at %s', (value, at) => {
    expect(firstSlot(interval(value), begun)).toEqual({ kind: 'slot', at });
  });

  it.each([
    '',
    '0',
    '999',
    '3153600000001',
    '99999999999999999999',
    '5m',
    '1e6',
    '1E4',
    '10abc',
    '60000.0',
    '60_000',
    '60,000',
    ' 60000',
    '60000 ',
    '60000\n',
    '-60000',
    '+60000',
    '0x10000',
    'Infinity',
    'NaN',
    '\uff16\uff10\uff10\uff10\uff10',
    '* * * * *',
    'PT1M',
  ])('is not %j', (value) => {
    const wanted = { kind: 'invalid', message: expect.stringContaining('1000 to 3153600000000') };
    expect(firstSlot(interval(value), begun)).toEqual(wanted);
    expect(nextSlot(interval(value), { slot: begun, now: begun })).toEqual(wanted);
  });

  it('that would leave the years of four digits says so', () => {
    const now = '9990-01-01T00:00:00.000Z';
    const beyond = { kind: 'invalid', message: 'lies beyond the year 9999' };
    expect(firstSlot(interval('3153600000000'), now)).toEqual(beyond);
    expect(nextSlot(interval('3153600000000'), { slot: now, now })).toEqual(beyond);
  });

  it('is due a whole one after its slot when the clock was set back', () => {
    const next = nextSlot(interval('60000'), { slot: begun, now: '2026-03-01T00:00:00.000Z' });
    expect(next).toEqual({ kind: 'slot', at: '2026-03-02T12:01:00.250Z' });
  });
});

describe('a once', () => {
  const once = (value: string, timezone: string): Schedule => ({ type: 'once', value, timezone });
  const now = '2026-01-01T00:00:00.000Z';

  it.each([
    ['2026-07-01T09:30', 'UTC', '2026-07-01T09:30:00.000Z'],
    ['2026-07-01T09:30:15', berlin, '2026-07-01T07:30:15.000Z'],
    ['2026-07-01T09:30', kolkata, '2026-07-01T04:00:00.000Z'],
    ['2026-07-01T00:00', 'Pacific/Kiritimati', '2026-06-30T10:00:00.000Z'],
    ['2026-07-01T00:00', 'Pacific/Pago_Pago', '2026-07-01T11:00:00.000Z'],
    ['2028-02-29T23:59:59', 'UTC', '2028-02-29T23:59:59.000Z'],
    ['2020-02-29T00:00', 'UTC', '2020-02-29T00:00:00.000Z'],
    ['1969-12-31T23:59:59', 'UTC', '1969-12-31T23:59:59.000Z'],
    ['9999-12-31T23:59:59', 'UTC', '9999-12-31T23:59:59.000Z'],
    // In a gap, and at its ends.
    ['2026-03-08T01:59:59', newYork, '2026-03-08T06:59:59.000Z'],
    ['2026-03-08T02:00', newYork, '2026-03-08T07:00:00.000Z'],
    ['2026-03-08T02:30', newYork, '2026-03-08T07:00:00.000Z'],
    ['2026-03-08T03:00', newYork, '2026-03-08T07:00:00.000Z'],
    ['2026-10-04T02:15', lordHowe, '2026-10-03T15:30:00.000Z'],
    // Twice.
    ['2026-11-01T01:30', newYork, '2026-11-01T05:30:00.000Z'],
    ['2026-10-25T02:15', berlin, '2026-10-25T00:15:00.000Z'],
    ['2026-04-05T01:45', lordHowe, '2026-04-04T14:45:00.000Z'],
  ])('of %s in %s is due at %s, past or not', (value, timezone, at) => {
    expect(firstSlot(once(value, timezone), now)).toEqual({ kind: 'slot', at });
  });

  it.each([
    '2026-02-29T00:00',
    '2026-02-30T09:00',
    '2100-02-29T00:00',
    '2026-04-31T00:00',
    '2026-13-01T00:00',
    '2026-00-01T00:00',
    '2026-01-00T00:00',
    '2026-01-01T24:00',
    '2026-01-01T00:60',
    '2026-01-01T00:00:60',
    '0000-01-01T00:00',
  ])('is not %s, which is not in the calendar', (value) => {
    const wanted = { kind: 'invalid', message: expect.stringContaining('is not in the calendar') };
    expect(firstSlot(once(value, 'UTC'), now)).toEqual(wanted);
    expect(firstSlot(once(value, newYork), now)).toEqual(wanted);
  });

  it.each([
    '',
    '12',
    '2026',
    '2026-07-01',
    '2026-07-01T09',
    '2026-07-01 09:30',
    '2026-07-01t09:30',
    '2026-7-1T09:30',
    '20260701T0930',
    '2026-07-01T09:30Z',
    '2026-07-01T09:30+02:00',
    '2026-07-01T09:30+0800',
    '2026-07-01T09:30 UTC',
    '2026-07-01T09:30:00.000',
    '2026-07-01T09:30\n',
    ' 2026-07-01T09:30',
    '-2026-07-01T09:30',
    '+002026-07-01T09:30',
    '\uff12026-07-01T09:30',
    'now',
    'tomorrow',
    '60000',
    '0 9 * * *',
  ])('is not %j, which is not a local time', (value) => {
    expect(firstSlot(once(value, 'UTC'), now)).toEqual({
      kind: 'invalid',
      message: expect.stringMatching(/^must be a local time .* without a zone$/),
    });
  });

  it('on the day that Samoa left out is not in its calendar', () => {
    expect(firstSlot(once('2011-12-30T12:00', 'Pacific/Apia'), now).kind).toBe('invalid');
    expect(firstSlot(once('2011-12-30T12:00', 'UTC'), now).kind).toBe('slot');
  });

  it('beyond the years of four digits says so', () => {
    expect(firstSlot(once('9999-12-31T23:59', newYork), now)).toEqual({
      kind: 'invalid',
      message: 'lies beyond the year 9999',
    });
  });

  it('has no further slot', () => {
    expect(nextSlot(once('2026-07-01T09:30', 'UTC'), { slot: now, now })).toEqual({ kind: 'none' });
  });
});

describe(`any schedule (seed ${seed})`, () => {
  const time = fc
    .date({ min: new Date('1990-01-01T00:00:00Z'), max: new Date('2090-01-01T00:00:00Z'), noInvalidDate: true })
    .map((date) => date.toISOString());
  const timezone = fc.constantFrom('UTC', newYork, berlin, kolkata, lordHowe, 'America/Havana', 'Pacific/Apia');
  const number = (min: number, max: number) => fc.integer({ min, max }).map(String);
  const step = (max: number) => fc.integer({ min: 1, max }).map((by) => `*/${by}`);
  const cron = fc
    .tuple(
      fc.oneof(
        fc.constant(''),
        number(0, 59).map((second) => `${second} `),
        step(59).map((second) => `${second} `),
      ),
      fc.oneof(fc.constant('*'), number(0, 59), step(59)),
      fc.oneof(fc.constant('*'), number(0, 23), step(23)),
      fc.oneof(fc.constant('*'), number(1, 28), fc.constant('L')),
      fc.oneof(fc.constant('*'), number(1, 12)),
      fc.oneof(fc.constant('*'), number(0, 7), fc.constant('MON-FRI')),
    )
    .map(([second, ...fields]) => second + fields.join(' '));
  const intervalMs = fc.oneof(fc.integer({ min: 1000, max: 100_000 }), fc.integer({ min: 1000, max: 10 ** 12 }));
  const schedule = fc.oneof(
    fc.record({ type: fc.constant('cron' as const), value: cron, timezone }),
    fc.record({ type: fc.constant('interval' as const), value: intervalMs.map(String), timezone }),
  );

  it('is due next after now, and after the slot before', () => {
    fc.assert(
      fc.property(schedule, time, fc.integer({ min: 0, max: 10 ** 11 }), (given, now, sinceMs) => {
        const slot = new Date(Date.parse(now) - sinceMs).toISOString();
        for (const next of [firstSlot(given, now), nextSlot(given, { slot, now })]) {
          if (next.kind !== 'slot') throw new Error(`${given.value}: ${next.kind}`);
          expect(next.at > now).toBe(true);
          expect(next.at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
        }
      }),
      { ...parameters, numRuns: 1000 },
    );
  });

  it('is walked through slot by slot without coming to one twice, and without depending on where it is asked from', () => {
    fc.assert(
      fc.property(schedule, time, (given, begin) => {
        let before = begin;
        for (let n = 0; n < 8; n++) {
          const next = nextSlot(given, { slot: before, now: before });
          if (next.kind !== 'slot') throw new Error(`${given.value}: ${next.kind}`);
          expect(next.at > before).toBe(true);
          // Asked from any time in between, it is the same slot.
          const between = new Date((Date.parse(before) + Date.parse(next.at)) / 2).toISOString();
          expect(nextSlot(given, { slot: before, now: between })).toEqual(next);
          before = next.at;
        }
      }),
      { ...parameters, numRuns: 300 },
    );
  });

  it('of an interval keeps its phase, and catches up in one step that is no longer than one interval', () => {
    fc.assert(
      fc.property(intervalMs, time, fc.integer({ min: 0, max: 10 ** 12 }), (ms, slot, lateMs) => {
        const now = new Date(Date.parse(slot) + lateMs).toISOString();
        const next = nextSlot({ type: 'interval', value: String(ms), timezone: 'UTC' }, { slot, now });
        if (next.kind !== 'slot') throw new Error(next.kind);
        expect((Date.parse(next.at) - Date.parse(slot)) % ms).toBe(0);
        expect(Date.parse(next.at) - Date.parse(now)).toBeGreaterThan(0);
        expect(Date.parse(next.at) - Date.parse(now)).toBeLessThanOrEqual(ms);
      }),
      { ...parameters, numRuns: 1000 },
    );
  });

  it('of any text at all is due or says what is wrong with it, and never throws', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom('*', '/', '-', ',', ' ', '0', '5', '9', 'L', 'W', '#', '?', 'MON', '@', 'T', ':'),
      }),
      fc
        .array(fc.constantFrom('*', '0', '*/7', '1-5', 'L', '1W', '?', 'MON#2', '31', '99', ''), { maxLength: 8 })
        .map((a) => a.join(' ')),
    );
    const type = fc.constantFrom('cron' as const, 'interval' as const, 'once' as const);
    fc.assert(
      fc.property(type, text, timezone, time, (kind, value, zone, now) => {
        const given = { type: kind, value, timezone: zone };
        for (const slot of [firstSlot(given, now), nextSlot(given, { slot: now, now })])
          if (slot.kind === 'invalid') expect(slot.message.length).toBeGreaterThan(5);
          else if (slot.kind === 'slot' && kind !== 'once') expect(slot.at > now).toBe(true);
      }),
      { ...parameters, numRuns: 3000 },
    );
  });
});
