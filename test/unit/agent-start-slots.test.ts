/** No more starts at once than the limit, in order, and nobody waits against their will. */

import { expect, test } from 'vitest';
import { makeStartSlots } from '../../src/agent/start-slots.ts';

const never = new AbortController().signal;

test('a slot that is given back goes to the one that has waited longest', async () => {
  const slots = makeStartSlots(2);
  const order: string[] = [];
  const first = await slots.take(never);
  await slots.take(never);
  const third = slots.take(never).then(() => order.push('third'));
  const fourth = slots.take(never).then(() => order.push('fourth'));
  await idle();
  expect(order).toEqual([]);

  first?.();
  await third;
  expect(order).toEqual(['third']);
  void fourth;
});

test('one that waits is let go at once when its signal aborts, and takes no slot later', async () => {
  const slots = makeStartSlots(1);
  const release = await slots.take(never);
  const impatient = new AbortController();
  const waiting = slots.take(impatient.signal);
  await idle();
  impatient.abort();
  expect(await waiting).toBeNull();

  release?.();
  release?.();
  expect(await slots.take(never)).not.toBeNull();
  let second = false;
  void slots.take(never).then(() => {
    second = true;
  });
  await idle();
  expect(second).toBe(false);
});

test('one whose signal has aborted already does not wait at all', async () => {
  expect(await makeStartSlots(1).take(AbortSignal.abort())).toBeNull();
});

test('work between starts waits for those that are starting, and those that come later wait for it', async () => {
  const slots = makeStartSlots(2);
  const order: string[] = [];
  const releases = await Promise.all([slots.take(never), slots.take(never)]);
  const done = Promise.withResolvers<void>();
  const between = slots.betweenStarts(async () => {
    order.push('work');
    await done.promise;
    return 'its result';
  });
  const later = slots.take(never).then((release) => {
    order.push('start');
    release?.();
  });
  await idle();
  releases[0]?.();
  await idle();
  expect(order, 'while one is still starting').toEqual([]);

  releases[1]?.();
  await idle();
  expect(order, 'while the work is under way').toEqual(['work']);

  done.resolve();
  expect(await between).toBe('its result');
  await later;
  expect(order).toEqual(['work', 'start']);
});

test('two works between starts are done one after the other', async () => {
  const slots = makeStartSlots(2);
  const order: string[] = [];
  const work = (name: string) =>
    slots.betweenStarts(async () => {
      order.push(`${name} begins`);
      await idle();
      order.push(`${name} ends`);
    });
  await Promise.all([work('first'), work('second')]);
  expect(order).toEqual(['first begins', 'first ends', 'second begins', 'second ends']);
});

test('work between starts that fails lets the starts go on', async () => {
  const slots = makeStartSlots(1);
  await expect(slots.betweenStarts(() => Promise.reject(new Error('disk full')))).rejects.toThrow('disk full');
  expect(await slots.take(never)).not.toBeNull();
});

/** Lets everything run that can run. */
function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
