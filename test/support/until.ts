/** Waiting for what gives no signal of its own, such as the state of another process. */

import { setTimeout as sleep } from 'node:timers/promises';

const pauseMs = 5;

/** The slowest start of a process takes less. */
const patienceMs = 50_000;

/** Resolves as soon as the condition holds; rejects with `what` when it never does. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const givesUpAt = performance.now() + patienceMs;
  do {
    if (await condition()) return;
    await sleep(pauseMs);
  } while (performance.now() < givesUpAt);
  throw new Error(`waited in vain until ${what}`);
}
