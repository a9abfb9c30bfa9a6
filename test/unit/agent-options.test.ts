/** From a request to the SDK's options: every switch that keeps the agent within its bounds, one by one. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpServer as ToolServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { expect, test } from 'vitest';
import { defaultLimits } from '../../src/agent/limits.ts';
import { makeOptions, type OptionsInput, type OptionsSettings } from '../../src/agent/options.ts';
import { readSystemPrompt } from '../../src/agent/system-prompt.ts';
import { builtInTools } from '../../src/agent/tools.ts';
import type { RunOptions } from '../../src/domain/run.ts';

const id = '0a1b2c3d-0000-4000-8000-000000000000';
const systemPrompt = { type: 'custom', prompt: 'You answer in verse.', snapshot: false } as const;
const settings: OptionsSettings = {
  cwd: '/memory',
  sessionsDir: '/state',
  hidden: [],
  defaultModel: null,
  fallbackModel: null,
  toolMs: 5_000,
};
const toolServer = new ToolServer({ name: 'tools', version: '1.0.0' });
const ownTools = { picoclaw: { type: 'sdk', name: 'picoclaw', instance: toolServer, timeout: 5_000 } };
const hooks = { PostCompact: [{ hooks: [async () => ({})] }] };
const run: RunOptions = {
  model: null,
  maxExecutionMs: 1_000,
  thinking: { type: 'disabled' },
  effort: null,
  maxTurns: null,
  maxBudgetUsd: null,
  mcpServers: {},
};

test('a run without wishes has these options and no others', () => {
  expect(made({})).toEqual({
    sessionId: id,
    cwd: '/memory',
    env: { PATH: '/bin' },
    systemPrompt,
    model: 'default',
    thinking: { type: 'disabled' },
    tools: builtInTools,
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    settings: {
      disableBundledSkills: true,
      enabledPlugins: { 'plugin-authoring@builtin': false },
      crossSessionInbound: 'refuse',
      attribution: false,
      includeGitInstructions: false,
      cleanupPeriodDays: 36_500,
      permissions: { deny: expect.any(Array) },
    },
    managedSettings: { blockedMarketplaces: [{ source: 'skills-dir' }], allowManagedHooksOnly: true },
    settingSources: ['user'],
    mcpServers: ownTools,
    strictMcpConfig: true,
    hooks,
    includePartialMessages: true,
    verbatimPrompts: true,
  });
});

const bridged = { type: 'sdk', name: 'x', instance: new ToolServer({ name: 'x', version: '1.0.0' }) } as const;

const wishes: [string, Made, object][] = [
  ['a session to resume', { session: { kind: 'resume', id } }, { resume: id, sessionId: undefined }],
  ['the server’s model', { defaultModel: 'a' }, { model: 'a' }],
  ['a model of its own', { defaultModel: 'a', run: { model: 'b' } }, { model: 'b' }],
  ['a fallback', { defaultModel: 'a', fallbackModel: 'b' }, { model: 'a', fallbackModel: 'b' }],
  ['a fallback and no model', { fallbackModel: 'b' }, { model: 'default', fallbackModel: 'b' }],
  ['the fallback for its model', { fallbackModel: 'b', run: { model: 'b' } }, { model: 'b', fallbackModel: undefined }],
  [
    'the server’s model for its fallback',
    { defaultModel: 'b', fallbackModel: 'b' },
    { model: 'b', fallbackModel: undefined },
  ],
  [
    'thinking',
    { run: { thinking: { type: 'enabled', maxTokens: 2_048 } } },
    { thinking: { type: 'enabled', budgetTokens: 2_048, display: 'summarized' } },
  ],
  ['an effort', { run: { effort: 'high' } }, { effort: 'high' }],
  ['limits', { run: { maxTurns: 3, maxBudgetUsd: 0.5 } }, { maxTurns: 3, maxBudgetUsd: 0.5 }],
  ['other servers', { mcpServers: { x: bridged } }, { mcpServers: { ...ownTools, x: bridged } }],
  ['a server by the name of our own', { mcpServers: { picoclaw: bridged } }, { mcpServers: ownTools }],
];

for (const [what, wish, expected] of wishes) {
  test(`a run with ${what} has its options changed in that and in nothing else`, () => {
    const { settings: _, ...options } = made(wish);
    const { settings: __, ...plain } = made({});
    expect(options).toEqual({ ...plain, ...expected });
  });
}

test('the file tools are kept from other sessions, from live processes and from the settings', () => {
  const options = made({});
  const settled = typeof options.settings === 'object' ? options.settings : {};
  expect(settled.permissions?.deny).toEqual(
    expect.arrayContaining([
      'Read(//state/projects/**/*.jsonl)',
      'Edit(//state/projects/**/*.jsonl)',
      'Read(//state/projects/*/[123456789abcdef]*/**)',
      'Edit(//state/projects/*/[123456789abcdef]*/**)',
      'Read(//state/projects/*/0a1b2c3[0123456789abcef]*/**)',
      'Edit(//state/projects/*/0a1b2c3[0123456789abcef]*/**)',
      'Read(//state/sessions/**)',
      'Edit(//state/sessions/**)',
      'Edit(//memory/.claude/settings.json)',
      'Edit(//memory/.claude/settings.local.json)',
    ]),
  );
});

test('an override is the whole system prompt, and is read afresh by a session that exists', async () => {
  expect(await readSystemPrompt({ orgDir: '/not-there', override: 'In verse.' })).toEqual({
    type: 'custom',
    prompt: 'In verse.',
    snapshot: false,
  });
});

test('without an override it is Claude Code’s own, the same for every conversation, with the organisation’s appended', async () => {
  const orgDir = await mkdtemp(join(tmpdir(), 'picoclaw-org-'));
  const preset = { type: 'preset', preset: 'claude_code', snapshot: false, excludeDynamicSections: true };
  expect(await readSystemPrompt({ orgDir: null, override: null })).toEqual(preset);
  expect(await readSystemPrompt({ orgDir, override: null })).toEqual(preset);
  await writeFile(join(orgDir, 'CLAUDE.md'), 'House rule.');
  expect(await readSystemPrompt({ orgDir, override: null })).toEqual({ ...preset, append: 'House rule.' });
  await rm(orgDir, { recursive: true });
});

test('the default limits', () => {
  expect(defaultLimits).toEqual({
    maxConcurrentStarts: 2,
    maxWaitingRuns: 64,
    maxRetries: 4,
    startMs: 60_000,
    firstMessageMs: 60_000,
    changeMs: 5_000,
    promiseMs: 30_000,
    streamIdleMs: 60_000,
    silenceMs: 240_000,
    compactWindow: null,
    mcpConnectMs: 10_000,
    toolMs: 30_000,
    archiveMs: 60_000,
    transcriptMs: 2_000,
    interruptMs: 2_000,
    exitMs: 2_000,
  });
});

type Made = Partial<Omit<OptionsInput, 'run'> & OptionsSettings> & { run?: Partial<RunOptions> };

function made({ session = { kind: 'create', id }, run: wished, ...changed }: Made) {
  return makeOptions(
    { ...settings, ...changed },
    {
      session,
      systemPrompt,
      run: { ...run, ...wished },
      env: { PATH: '/bin' },
      configDir: '/config',
      toolServer,
      mcpServers: changed.mcpServers ?? {},
      hooks,
    },
  );
}
