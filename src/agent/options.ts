/** From a request to the SDK's options; pure. What is settled here is what the agent may do and what it never sees. */

import type { McpServerConfig, Options, SpawnedProcess, SpawnOptions } from '@anthropic-ai/claude-agent-sdk';
import type { McpServer, RunOptions } from '../domain/run.ts';
import type { ProcessEnvironment } from './environment.ts';
import type { SystemPrompt } from './system-prompt.ts';
import { builtInTools } from './tools.ts';

export type OptionsInput = {
  session: { kind: 'create' | 'resume'; id: string };
  run: RunOptions;
  env: ProcessEnvironment;
  cwd: string;
  configDir: string;
  systemPrompt: SystemPrompt;
  defaultModel: string | null;
  fallbackModel: string | null;
  spawn: (options: SpawnOptions) => SpawnedProcess;
};

export function makeOptions(input: OptionsInput): Options {
  const { run, session } = input;
  const model = run.model ?? input.defaultModel;
  return {
    ...(session.kind === 'resume' ? { resume: session.id } : { sessionId: session.id }),
    cwd: input.cwd,
    env: input.env,
    systemPrompt: input.systemPrompt,
    ...(model === null ? {} : { model }),
    ...(input.fallbackModel === null || input.fallbackModel === model ? {} : { fallbackModel: input.fallbackModel }),
    ...toThinking(run.thinking),
    ...(run.effort === null ? {} : { effort: run.effort }),
    ...(run.maxTurns === null ? {} : { maxTurns: run.maxTurns }),
    ...(run.maxBudgetUsd === null ? {} : { maxBudgetUsd: run.maxBudgetUsd }),

    tools: builtInTools,
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    settings: makeSettings(input),
    // `project` for CLAUDE.md, skills and settings of the working directory; nothing of the host's user.
    settingSources: ['project'],

    mcpServers: toMcpServers(run.mcpServers),
    // Not on the command line, where every user of the machine reads headers and env.
    mcpServersDelivery: 'initialize',
    // The working directory is the agent's to write: a `.mcp.json` there would run commands at the next start.
    strictMcpConfig: true,

    includePartialMessages: true,
    // Otherwise a user's "/clear" drops the conversation and "@/etc/passwd" puts that file into the prompt.
    verbatimPrompts: true,
    spawnClaudeCodeProcess: input.spawn,
  };
}

function makeSettings({ configDir }: OptionsInput): NonNullable<Options['settings']> {
  const sessionFiles = ['projects', 'sessions'].map((folder) => `/${configDir}/${folder}/**`);
  return {
    // Only the skills that are installed here. One of the CLI's own comes as a plugin, which the first does not cover.
    disableBundledSkills: true,
    enabledPlugins: { 'plugin-authoring@builtin': false },
    // Any other claude on this machine could otherwise send this one a message, which would start a turn.
    crossSessionInbound: 'refuse',
    attribution: false,
    includeGitInstructions: false,
    // A conversation may be taken up after any time; the CLI's default deletes its transcript after 30 days.
    cleanupPeriodDays: 36_500,
    permissions: { deny: sessionFiles.flatMap((path) => [`Read(${path})`, `Edit(${path})`]) },
  };
}

function toThinking(thinking: RunOptions['thinking']): Pick<Options, 'thinking'> {
  return thinking.type === 'disabled'
    ? { thinking: { type: 'disabled' } }
    : { thinking: { type: 'enabled', budgetTokens: thinking.maxTokens, display: 'summarized' } };
}

/** `alwaysLoad`: the run waits for the server (5 s at most), so that its tools are there from the first model call on. */
function toMcpServers(servers: Record<string, McpServer>): Record<string, McpServerConfig> {
  return Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, toMcpServer(server)]));
}

function toMcpServer(server: McpServer): McpServerConfig {
  if (server.type === 'stdio') {
    const { command, args, env } = server;
    return { type: 'stdio', command, ...(args ? { args } : {}), ...(env ? { env } : {}), alwaysLoad: true };
  }
  const { type, url, headers } = server;
  return { type, url, ...(headers ? { headers } : {}), alwaysLoad: true };
}
