import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Timings, timed, withTimings } from '../../src/lib/timings.ts';

describe('timings', () => {
  it('say what was measured far below, also of what goes on after it, each for its own request', async () => {
    const one: Timings = {};
    const other: Timings = {};
    const goOn = Promise.withResolvers<void>();
    let later = Promise.resolve();
    await Promise.all([
      withTimings(one, async () => {
        await timed('sync', () => setImmediate());
        later = timed('agent', () => goOn.promise);
      }),
      withTimings(other, () => timed('hydrate', () => setImmediate())),
    ]);
    expect([Object.keys(one), Object.keys(other)]).toEqual([['sync'], ['hydrate']]);
    goOn.resolve();
    await later;
    expect([Object.keys(one), Object.keys(other)]).toEqual([['sync', 'agent'], ['hydrate']]);
  });

  it('are summed up', async () => {
    const timings: Timings = { sync: 1_000_000 };
    await withTimings(timings, () => timed('sync', () => setImmediate()));
    expect(timings.sync).toBeGreaterThan(1_000_000);
  });

  it('count what failed, and hand on the failure', async () => {
    const timings: Timings = {};
    const failing = withTimings(timings, () => timed('hydrate', () => Promise.reject(new Error('gone'))));
    await expect(failing).rejects.toThrow('gone');
    expect(timings.hydrate).toBeGreaterThanOrEqual(0);
  });

  it('are not kept where nobody asked for them', async () => {
    expect(await timed('sync', async () => 7)).toBe(7);
  });
});
