/** What a run asks for is what it gets, from a spare, from a live process and from a new one, and the run after it does not. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunOptions } from '../../src/domain/run.ts';
import { startMcpServer } from '../support/agent-mcp-server.ts';
import { settingsOf, startWarmHost, type WarmHost } from '../support/agent-warm.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const changes: [string, Partial<RunOptions>][] = [
  ['another model', { model: 'claude-sonnet-4-5' }],
  ['thinking', { thinking: { type: 'enabled', maxTokens: 4_000 } }],
  ['thinking in another model', { model: 'claude-haiku-4-5', thinking: { type: 'enabled', maxTokens: 4_000 } }],
  ['an effort', { effort: 'low' }],
  ['a limit of turns', { maxTurns: 3 }],
  ['a budget', { maxBudgetUsd: 1 }],
];

for (const [what, options] of changes) {
  test(`a run that asks for ${what} gets it from a spare and from a live process, and the run after it does not`, async () => {
    await using host = await startWarmHost({ warm: { spares: 1 } });
    // Each on a process that was started so.
    await host.run('plain');
    await host.run('wished', { options });
    const [first, second] = host.model.requests();
    await host.agent.keepSpares();
    await host.untilSpares(1);

    const { sessionId } = await host.run('from a spare', { sessionId: host.agent.newSessionId(), options });
    await host.run('and then plain', { sessionId, resume: true });
    await host.run('and then not', { sessionId, resume: true, options });

    // No other: the model API is not asked whether it has such a model.
    expect(host.model.requests()).toHaveLength(5);
    const [, , spare, after, again] = host.model.requests();
    expect(settingsOf(spare)).toEqual(settingsOf(second));
    expect(settingsOf(after)).toEqual(settingsOf(first));
    expect(settingsOf(again)).toEqual(settingsOf(second));
  });
}

test('a run’s MCP servers are there in it, and in no other', async () => {
  await using mcp = await startMcpServer('http');
  await using host = await startWarmHost();
  const tools = (at: number) => host.model.requests()[at]?.body.tools?.map(({ name }) => name) ?? [];
  const { sessionId } = await host.run('without');
  await host.run('with', { sessionId, resume: true, options: { mcpServers: { library: mcp.server() } } });
  await host.run('without again', { sessionId, resume: true });

  expect(tools(0)).not.toContain('mcp__library__lookup');
  expect(tools(1)).toContain('mcp__library__lookup');
  expect(tools(2)).not.toContain('mcp__library__lookup');
});

type Change = { what: string; make: (host: WarmHost, orgDir: string) => Promise<void>; shows: string };

const workspaceChanges: Change[] = [
  {
    what: 'persona',
    make: (host) => writeFile(join(host.memoryDir, 'CLAUDE.md'), 'Now a poet.'),
    shows: 'Now a poet.',
  },
  {
    what: 'file that the persona imports',
    make: (host) => writeFile(join(host.memoryDir, 'style.md'), 'Now in verse.'),
    shows: 'Now in verse.',
  },
  { what: 'skill', make: (host) => writeSkill(host, 'Sings now'), shows: 'Sings now' },
  { what: 'house rule of the organisation', make: writeRule('Now politely.'), shows: 'Now politely.' },
  {
    what: 'MCP server of the organisation',
    make: async (_, orgDir) => {
      const server = { command: process.execPath, args: [join(import.meta.dirname, '../support/agent-mcp-stdio.ts')] };
      await writeFile(join(orgDir, 'managed-mcp.json'), JSON.stringify({ mcpServers: { library: server } }));
    },
    shows: 'mcp__library__lookup',
  },
];

for (const { what, make, shows } of workspaceChanges) {
  test(`a ${what} that has changed is in the next run of a conversation, and in a new one that has a spare`, async () => {
    const orgDir = temporaryFolder();
    await using host = await startWarmHost({ orgDir, warm: { spares: 1 } });
    await writeFile(join(host.memoryDir, 'CLAUDE.md'), 'A friend. @style.md');
    await writeFile(join(host.memoryDir, 'style.md'), 'In prose.');
    await writeSkill(host, 'Sings');
    await writeRule('Politely.')(host, orgDir);
    const { sessionId } = await host.run('before');
    await host.agent.keepSpares();
    await host.untilSpares(1);
    const unchanged = await host.run('still before', { sessionId, resume: true });

    await make(host, orgDir);
    await host.run('after', { sessionId: unchanged.sessionId, resume: true });
    await host.run('new', { sessionId: host.agent.newSessionId() });

    const shown = host.model.requests().map(({ raw }) => raw.includes(shows));
    expect(shown).toEqual([false, false, true, true]);
  });
}

async function writeSkill(host: WarmHost, description: string): Promise<void> {
  const folder = join(host.sessionsDir, 'skills', 'sing');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'SKILL.md'), `---\nname: sing\ndescription: ${description}\n---\nSing.`);
}

function writeRule(text: string) {
  return (_: WarmHost, orgDir: string) => writeFile(join(orgDir, 'CLAUDE.md'), text);
}
