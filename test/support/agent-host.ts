/**
 * An agent for tests: the real claude process, a memory folder of its own, and the scripted model of `model.ts`.
 *
 *     await using host = await startAgentHost();
 *     host.model.mock.on({ userMessage: /hello/ }, { content: 'Hi.' });
 *     const { result, text } = await host.run('hello');
 */

import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { pino } from 'pino';
import type { AgentEvent, AgentRequest, AgentResult } from '../../src/agent/agent.ts';
import { type ClaudeAgent, type ClaudeAgentDeps, createClaudeAgent } from '../../src/agent/claude.ts';
import type { RunOptions } from '../../src/domain/run.ts';
import { type Model, startModel } from './model.ts';

/** Stands for the API key wherever a test looks for its leaking. */
export const testCredential = 'sk-ant-test-credential';

export type Ran = { result: AgentResult; events: AgentEvent[]; text: string; sessionId: string; promptId: string };

export type RunInput = Partial<Omit<AgentRequest, 'options'>> & {
  options?: Partial<RunOptions>;
  onEvent?: (event: AgentEvent) => void;
};

export type AgentHost = AsyncDisposable & {
  agent: ClaudeAgent;
  model: Model;
  memoryDir: string;
  sessionsDir: string;
  /** The HOME of its processes. */
  homeDir: string;
  /** The lines of the agent's log. */
  log: string[];
  run(text: string, input?: RunInput): Promise<Ran>;
  /** The processes that belong to this host's runs: claude and whatever its tools started. */
  processes(): Promise<HostProcess[]>;
};

export type HostProcess = { pid: number; command: string };

export async function startAgentHost(
  deps: Partial<ClaudeAgentDeps> & { model?: Model; chunkSize?: number } = {},
): Promise<AgentHost> {
  const { model: given, chunkSize, ...overrides } = deps;
  const model = given ?? (await startModel(chunkSize === undefined ? {} : { chunkSize }));
  const memoryDir = overrides.memoryDir ?? (await mkdtemp(join(tmpdir(), 'picoclaw-agent-')));
  const sessionsDir = join(memoryDir, '.claude');
  const homeDir = `${memoryDir}-home`;
  await mkdir(homeDir, { recursive: true });
  const log: string[] = [];
  const agent = createClaudeAgent({
    credential: { kind: 'api_key', value: testCredential },
    anthropicBaseUrl: model.url,
    defaultModel: null,
    fallbackModel: null,
    orgDir: null,
    hidden: [],
    covered: [],
    systemPromptOverride: null,
    timezone: 'Europe/Berlin',
    // Nothing else of this machine: a proxy or a language of its own would change what is tested. A home of its own: the
    // CLI's shell reads the dotfiles of the real one, and killing it in the middle of them leaves their locks behind.
    baseEnv: { PATH: process.env.PATH, HOME: homeDir },
    toolServer: async () => new McpServer({ name: 'tools', version: '1.0.0' }),
    sandbox: 'off',
    // None is kept, unless it is that which is tested.
    warm: { spares: 0, conversations: 0, idleMs: 60_000, maxProcesses: 40 },
    log: pino({ level: 'debug' }, { write: (line: string) => void log.push(line) }),
    ...overrides,
    memoryDir,
  });

  return {
    agent,
    model,
    memoryDir,
    sessionsDir,
    homeDir,
    log,
    run: async (text, { options, onEvent, ...input } = {}) => {
      const events: AgentEvent[] = [];
      const prompt = input.prompt ?? { id: randomUUID(), text };
      const sessionId = input.sessionId ?? randomUUID();
      const request: AgentRequest = {
        runId: `run-${randomUUID()}`,
        conversationId: `conv-${randomUUID()}`,
        sessionId,
        resume: false,
        freshSession: async () => ({
          sessionId: randomUUID(),
          prompt: { id: randomUUID(), text: `told afresh: ${text}` },
        }),
        signal: new AbortController().signal,
        ...input,
        prompt,
        options: { ...runOptions, ...options },
      };
      const result = await agent.run(request, (event) => {
        events.push(event);
        onEvent?.(event);
      });
      return { result, events, text: textOf(events), sessionId: result.sessionId, promptId: prompt.id };
    },
    processes: () => processesOf(homeDir),
    [Symbol.asyncDispose]: async () => {
      await agent.stop();
      if (!given) await model.stop();
      for (const dir of [memoryDir, homeDir]) await rm(dir, { recursive: true, force: true });
    },
  };
}

export const runOptions: RunOptions = {
  model: null,
  maxExecutionMs: 60_000,
  thinking: { type: 'disabled' },
  effort: null,
  maxTurns: null,
  maxBudgetUsd: null,
  mcpServers: {},
};

/** What a client has read at the end: the text of all messages, less what was taken back. */
export function textOf(events: AgentEvent[]): string {
  let before = '';
  let current = '';
  for (const event of events) {
    if (event.type === 'message') {
      before += current;
      current = '';
    } else if (event.type === 'restart') {
      current = '';
    } else if (event.type === 'text') {
      current += event.text;
    }
  }
  return before + current;
}

async function processesOf(homeDir: string): Promise<HostProcess[]> {
  const entry = `HOME=${homeDir}\0`;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
      if (!`${environment}\0`.includes(entry)) return [];
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return [{ pid: Number(pid), command: command.replaceAll('\0', ' ').trim() }];
    }),
  );
  return found.flat();
}
