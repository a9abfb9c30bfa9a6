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

/** Lets everything run that can run. */
function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
