/**
 * The model's prompt cache holds: each request of a conversation begins with all of the one before it, byte for byte, over
 * turns, live and in new processes, on another instance and another day. And the tools and the system prompt are the same
 * for all conversations.
 */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { startAgentHost } from '../support/agent-host.ts';
import { hasSandbox, startWarmHost } from '../support/agent-warm.ts';
import type { ModelRequest } from '../support/model.ts';
import { asCommand } from '../support/obedient-model.ts';

for (const sandbox of ['off', 'on'] as const) {
  test.skipIf(sandbox === 'on' && !(await hasSandbox()))(
    `over turns, processes, instances and days, sandbox ${sandbox}`,
    async () => {
      // A day and more apart, always.
      await using host = await startWarmHost({ sandbox, timezone: 'Etc/GMT+12' });
      await writeFile(join(host.memoryDir, 'CLAUDE.md'), 'A friend.');
      await mkdir(join(host.sessionsDir, 'skills', 'sing'), { recursive: true });
      await writeFile(
        join(host.sessionsDir, 'skills', 'sing', 'SKILL.md'),
        '---\nname: sing\ndescription: Sings\n---\nSing.',
      );

      const { sessionId } = await host.run('one');
      await host.run(asCommand('echo two'), { sessionId, resume: true });
      await host.run('three, live', { sessionId, resume: true });
      await host.agent.letGo();
      await host.run('four, in a new process', { sessionId, resume: true });
      await host.agent.letGo();
      {
        const { model, memoryDir } = host;
        await using other = await startAgentHost({ model, memoryDir, sandbox, timezone: 'Pacific/Kiritimati' });
        await other.run('five, another day', { sessionId, resume: true });
        // It takes its folders with it when it ends.
        await mkdir(host.homeDir, { recursive: true });
        expectPrefixes(model.requests());
      }
    },
  );
}

test('tools and system prompt are the same for every conversation, with a spare or without', async () => {
  await using host = await startWarmHost({ warm: { spares: 1 } });
  await host.run('one');
  await host.agent.keepSpares();
  await host.untilSpares(1);
  await host.run('two', { sessionId: host.agent.newSessionId() });
  const [first, second] = host.model.requests();
  expect(JSON.stringify(second?.body.tools)).toBe(JSON.stringify(first?.body.tools));
  expect(JSON.stringify(second?.body.system)).toBe(JSON.stringify(first?.body.system));
  expect(first?.raw).not.toContain('x-anthropic-billing-header');
});

/** What is cached ends at a mark that moves on with each turn: without the marks, each is the beginning of the next. */
function expectPrefixes(requests: ModelRequest[]): void {
  expect(requests.length).toBeGreaterThan(5);
  for (const [index, request] of requests.entries()) {
    const next = requests[index + 1];
    if (next === undefined) break;
    expect(JSON.stringify(next.body.tools)).toBe(JSON.stringify(request.body.tools));
    expect(JSON.stringify(next.body.system)).toBe(JSON.stringify(request.body.system));
    const [before, after] = [contentOf(request), contentOf(next)];
    expect(after.slice(0, before.length)).toEqual(before);
  }
}

/** Every block by its own JSON, whatever message it came in. */
function contentOf(request: ModelRequest): string[] {
  return request.body.messages.flatMap(({ role, content }) => {
    const blocks =
      typeof content === 'string' ? [{ type: 'text', text: content }] : z.array(z.looseObject({})).parse(content);
    return blocks.map(({ cache_control: _, ...block }) => `${role} ${JSON.stringify(block)}`);
  });
}
