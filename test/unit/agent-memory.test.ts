/** How many processes fit into the memory that there is. */

import { totalmem } from 'node:os';
import { expect, test } from 'vitest';
import { availableBytes, decideProcesses, MemoryUse, processBytes } from '../../src/agent/memory.ts';
import { until } from '../support/until.ts';

const gibibyte = 1024 ** 3;
const wishes = { spares: 1, conversations: null };

const cases: [string, number, Parameters<typeof decideProcesses>[1], ReturnType<typeof decideProcesses>][] = [
  ['hardly any', 0.25 * gibibyte, wishes, { maxProcesses: 1, spares: 0, conversations: 1 }],
  ['half a gigabyte', 0.5 * gibibyte, wishes, { maxProcesses: 1, spares: 0, conversations: 1 }],
  [
    'more spares than room',
    gibibyte,
    { spares: 64, conversations: null },
    { maxProcesses: 5, spares: 4, conversations: 1 },
  ],
  ['one gigabyte', gibibyte, wishes, { maxProcesses: 5, spares: 1, conversations: 4 }],
  ['four', 4 * gibibyte, wishes, { maxProcesses: 29, spares: 1, conversations: 28 }],
  ['plenty', 64 * gibibyte, wishes, { maxProcesses: 502, spares: 1, conversations: 32 }],
  ['none wanted', gibibyte, { spares: 0, conversations: 0 }, { maxProcesses: 5, spares: 0, conversations: 0 }],
  ['more spares than fit', gibibyte, { spares: 9, conversations: 2 }, { maxProcesses: 5, spares: 4, conversations: 2 }],
];

for (const [what, bytes, wanted, decided] of cases) {
  test(`with ${what}: ${JSON.stringify(decided)}`, () => {
    expect(decideProcesses(bytes, wanted)).toEqual(decided);
  });
}

test('what is available is not more than the machine has', () => {
  expect(availableBytes()).toBeGreaterThan(processBytes);
  expect(availableBytes()).toBeLessThanOrEqual(totalmem());
});

test('the use is measured beside the question: this process takes more than 10 MB', async () => {
  const use = new MemoryUse(() => [process.pid]);
  expect(use.bytes()).toBeNull();
  await until('it is measured', () => use.bytes() !== null);
  expect(use.bytes()).toBeGreaterThan(10_000_000);
});

test('no process takes no memory', async () => {
  const use = new MemoryUse(() => []);
  use.bytes();
  await until('it is measured', () => use.bytes() === 0);
});
