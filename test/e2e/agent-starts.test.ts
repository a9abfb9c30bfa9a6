/** Many runs at once do not all start at once: a start takes most of a core. */

import { expect, test, vi } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';

/** Real processes, counted by the SDK's `startup` from its call to when it has one that is ready. */
const starts = vi.hoisted(() => ({ now: 0, most: 0, all: 0 }));

vi.mock('@anthropic-ai/claude-agent-sdk', async (importOriginal) => {
  const sdk = await importOriginal<typeof import('@anthropic-ai/claude-agent-sdk')>();
  const startup: typeof sdk.startup = async (input) => {
    starts.all += 1;
    starts.now += 1;
    starts.most = Math.max(starts.most, starts.now);
    try {
      return await sdk.startup(input);
    } finally {
      starts.now -= 1;
    }
  };
  return { ...sdk, startup };
});

test('of eight runs at once never more than two have a claude process that is not ready', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  // Until all have asked: what limits the starts is not the end of another run.
  const hold = host.model.fault({ kind: 'hold', times: 8 });
  void host.model.arrival(7).then(() => hold.release());

  const ran = await Promise.all(Array.from({ length: 8 }, (_, at) => host.run(`number ${at}`)));

  expect(ran.map(({ result }) => result.outcome)).toEqual(Array(8).fill('success'));
  expect(starts).toEqual({ now: 0, most: 2, all: 8 });
});

test('there are never more processes than there is room for, however many runs come at once', async () => {
  await using host = await startAgentHost({
    warm: { spares: 1, conversations: 4, idleMs: 60_000, maxProcesses: 2 },
  });
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  await host.agent.keepSpares();
  let most = 0;
  const look = setInterval(() => {
    const { idle, inRuns, starting } = host.agent.health().processes;
    most = Math.max(most, idle + inRuns + starting + host.agent.health().warm);
  }, 5);

  const ran = await Promise.all(Array.from({ length: 6 }, (_, at) => host.run(`number ${at}`)));

  clearInterval(look);
  expect(ran.map(({ result }) => result.outcome)).toEqual(Array(6).fill('success'));
  expect(most).toBe(2);
});
