/** What carries a run's marker is gone when the cleaning up is done; what does not is left alone. */

import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { killLeftovers, markedBy, markerVariable } from '../../src/agent/leftovers.ts';

test('every process with the marker is gone once the cleaning up is done, and no other', async () => {
  const [marker, other] = [randomUUID(), randomUUID()];
  // So many that those that were only told to go cannot all be gone by the next line.
  const marked = await Promise.all(Array.from({ length: 40 }, () => start(marker)));
  const unmarked = await start(other);

  await killLeftovers(markedBy(marker));

  const left = marked.filter((child) => carries(child, marker));
  expect(left.map((child) => child.pid)).toEqual([]);
  expect(carries(unmarked, other)).toBe(true);
  await killLeftovers(markedBy(other));
  expect(carries(unmarked, other)).toBe(false);
});

async function start(marker: string): Promise<ChildProcess> {
  const env = { PATH: process.env.PATH, [markerVariable]: marker };
  const child = spawn('sleep', ['1000'], { env, detached: true, stdio: 'ignore' });
  await once(child, 'spawn');
  return child;
}

/** Not awaited, so that nothing can happen before it looks. */
function carries(child: ChildProcess, marker: string): boolean {
  try {
    return readFileSync(`/proc/${child.pid}/environ`, 'latin1').includes(marker);
  } catch {
    return false;
  }
}
