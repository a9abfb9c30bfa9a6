import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type ClaudeAgentDeps, createClaudeAgent } from '../../src/agent/claude.ts';
import { createLazyAgent } from '../../src/agent/lazy-agent.ts';
import { runOptions } from '../support/agent-host.ts';

async function makeDeps(): Promise<ClaudeAgentDeps & AsyncDisposable> {
  const memoryDir = await mkdtemp(join(tmpdir(), 'picoclaw-agent-'));
  return {
    credential: { kind: 'api_key', value: 'sk-ant-test-credential' },
    anthropicBaseUrl: null,
    defaultModel: null,
    fallbackModel: null,
    memoryDir,
    orgDir: null,
    hidden: [],
    covered: [],
    systemPromptOverride: null,
    timezone: 'UTC',
    baseEnv: {},
    toolServer: () => Promise.reject(new Error('no run is to begin')),
    sandbox: 'off',
    warm: { spares: 1, conversations: 2, idleMs: 60_000, maxProcesses: 5 },
    log: pino({ level: 'silent' }),
    [Symbol.asyncDispose]: () => rm(memoryDir, { recursive: true }),
  };
}

test('an agent that is not loaded says of itself what one without processes says', async () => {
  await using deps = await makeDeps();
  const [lazy, agent] = [createLazyAgent(deps), createClaudeAgent(deps)];
  expect(lazy.maxRuns).toBe(agent.maxRuns);
  expect(agent.health()).toMatchObject(lazy.health());
  expect(lazy.newSessionId()).not.toBe(lazy.newSessionId());
  await agent.stop();
});

test('is loaded by the first call that needs it', async () => {
  await using deps = await makeDeps();
  const lazy = createLazyAgent(deps);
  expect(await lazy.heldPrompts(randomUUID(), [randomUUID()])).toEqual(new Set());
  expect(await lazy.betweenStarts(async () => 'done')).toBe('done');
  await lazy.letGo();
  await lazy.stop();
});

test('is let go of and stopped without being loaded, and what is loaded after that is stopped', async () => {
  await using deps = await makeDeps();
  const lazy = createLazyAgent(deps);
  await lazy.letGo();
  await lazy.stop();
  const result = await lazy.run(
    {
      runId: 'run-1',
      conversationId: null,
      sessionId: lazy.newSessionId(),
      resume: false,
      prompt: { id: randomUUID(), text: 'hello' },
      freshSession: () => Promise.reject(new Error('none is asked for')),
      options: runOptions,
      signal: new AbortController().signal,
    },
    () => undefined,
  );
  expect(result.outcome).toBe('interrupted');
});
