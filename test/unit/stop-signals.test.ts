import { describe, expect, it } from 'vitest';
import { decideOnSignal } from '../../src/cli/stop-signals.ts';

describe('a signal to end', () => {
  it.each([
    ['the first one', null, 'stop'],
    ['its echo, as under npm', 0, 'ignore'],
    ['the last that can be an echo', 499, 'ignore'],
    ['one of a person who has waited', 500, 'exit_at_once'],
    ['one after an hour', 3_600_000, 'exit_at_once'],
  ] as const)('(%s, %s ms after the first) means: %s', (_, sinceFirstMs, decision) => {
    expect(decideOnSignal(sinceFirstMs)).toBe(decision);
  });
});
