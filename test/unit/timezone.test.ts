import { describe, expect, it } from 'vitest';
import { findTimezone, toTimezone } from '../../src/domain/timezone.ts';

describe('the zone that a setting names', () => {
  it('is the same by the list of zones as by the formatter', () => {
    const listed = Intl.supportedValuesOf('timeZone');
    expect(listed.length).toBeGreaterThan(300);
    for (const name of [...listed, 'UTC']) expect(findTimezone(name)).toBe(toTimezone(name));
  });

  it.each(['utc', 'Etc/UTC', 'europe/BERLIN', 'Asia/Kolkata', 'CET', '+02:00', 'Mars/Phobos', ''])(
    'is the same for %j, which is not in the list',
    (name) => {
      expect(Intl.supportedValuesOf('timeZone')).not.toContain(name);
      expect(findTimezone(name)).toBe(toTimezone(name));
    },
  );
});
