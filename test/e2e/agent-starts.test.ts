/** Many runs at once do not all start at once: a start takes most of a core. */

import type { Query } from '@anthropic-ai/claude-agent-sdk';
import { expect, test, vi } from 'vitest';
import { startAgentHost } from '../support/agent-host.ts';

/** Real processes, counted by the SDK's `query` from its call to the first message that is read. */
const starts = vi.hoisted(() => ({ now: 0, most: 0, all: 0 }));

vi.mock('@anthropic-ai/claude-agent-sdk', async (importOriginal) => {
  const sdk = await importOriginal<typeof import('@anthropic-ai/claude-agent-sdk')>();
  const query: typeof sdk.query = (input) => counted(sdk.query(input));
  return { ...sdk, query };
});

function counted(query: Query): Query {
  let hasSpoken = false;
  starts.all += 1;
  starts.now += 1;
  starts.most = Math.max(starts.most, starts.now);
  const next: Query['next'] = async () => {
    const step = await query.next();
    if (!hasSpoken) starts.now -= 1;
    hasSpoken = true;
    return step;
  };
  return new Proxy(query, {
    get: (_, name) => {
      if (name === 'next') return next;
      const member: unknown = Reflect.get(query, name);
      return typeof member === 'function' ? member.bind(query) : member;
    },
  });
}

test('of eight runs at once never more than two have a claude process that has not yet spoken', async () => {
  await using host = await startAgentHost();
  host.model.mock.on({ userMessage: /.*/ }, { content: 'Yes.' });
  // Until all have asked: what limits the starts is not the end of another run.
  const hold = host.model.fault({ kind: 'hold', times: 8 });
  void host.model.arrival(7).then(() => hold.release());

  const ran = await Promise.all(Array.from({ length: 8 }, (_, at) => host.run(`number ${at}`)));

  expect(ran.map(({ result }) => result.outcome)).toEqual(Array(8).fill('success'));
  expect(starts).toEqual({ now: 0, most: 2, all: 8 });
});
