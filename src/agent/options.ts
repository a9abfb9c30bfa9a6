/** From a request to the SDK's options; pure. What is settled here is what the agent may do and what it never sees. */

import type { McpSdkServerConfigWithInstance, McpServerConfig, Options } from '@anthropic-ai/claude-agent-sdk';
import { toolServerName } from '../domain/mcp-server.ts';
import type { McpServer, RunOptions } from '../domain/run.ts';
import type { ProcessEnvironment } from './environment.ts';
import { makeDenyRules } from './permissions.ts';
import type { Session } from './session.ts';
import type { SystemPrompt } from './system-prompt.ts';
import { builtInTools } from './tools.ts';

/** The same for every run. */
export type OptionsSettings = {
  env: ProcessEnvironment;
  cwd: string;
  configDir: string;
  defaultModel: string | null;
  fallbackModel: string | null;
  /** How long one call of a tool of the tool server may take. Below a second it is not kept. */
  toolMs: number;
};

/** The server of our own tools, in this process. Each claude process needs one of its own: two would share none. */
export type ToolServer = McpSdkServerConfigWithInstance['instance'];

export type OptionsInput = {
  session: Session;
  systemPrompt: SystemPrompt;
  run: RunOptions;
  toolServer: ToolServer;
  hooks: NonNullable<Options['hooks']>;
};

export function makeOptions(settings: OptionsSettings, input: OptionsInput): Options {
  const { run, session } = input;
  const model = run.model ?? settings.defaultModel;
  const fallbackModel = settings.fallbackModel === model ? null : settings.fallbackModel;
  return {
    ...(session.kind === 'resume' ? { resume: session.id } : { sessionId: session.id }),
    cwd: settings.cwd,
    env: settings.env,
    systemPrompt: input.systemPrompt,
    ...(model === null ? {} : { model }),
    ...(fallbackModel === null ? {} : { fallbackModel }),
    thinking: toThinking(run.thinking),
    ...(run.effort === null ? {} : { effort: run.effort }),
    ...(run.maxTurns === null ? {} : { maxTurns: run.maxTurns }),
    ...(run.maxBudgetUsd === null ? {} : { maxBudgetUsd: run.maxBudgetUsd }),

    tools: builtInTools,
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    settings: makeSettings(settings, session),
    // `project` for the working directory's CLAUDE.md, skills and settings; nothing of the host's user.
    settingSources: ['project'],

    mcpServers: {
      ...toMcpServers(run.mcpServers),
      [toolServerName]: { type: 'sdk', name: toolServerName, instance: input.toolServer, timeout: settings.toolMs },
    },
    // Not on the command line, where every user of the machine reads headers and env.
    mcpServersDelivery: 'initialize',
    // The working directory is the agent's to write: a `.mcp.json` there would run commands at the next start.
    strictMcpConfig: true,
    hooks: input.hooks,

    includePartialMessages: true,
    // Otherwise a user's "/clear" drops the conversation and "@/etc/passwd" puts that file into the prompt.
    verbatimPrompts: true,
  };
}

function makeSettings({ cwd, configDir }: OptionsSettings, session: Session): NonNullable<Options['settings']> {
  return {
    // Only the skills that are installed here. One of the CLI's own comes as a plugin, which the first does not cover.
    disableBundledSkills: true,
    enabledPlugins: { 'plugin-authoring@builtin': false },
    // Any other claude on this machine could otherwise send this one a message, which would start a turn.
    crossSessionInbound: 'refuse',
    // Commit messages are the caller's affair.
    attribution: false,
    includeGitInstructions: false,
    // A conversation may be taken up after any time; the CLI's default deletes its transcript after 30 days.
    cleanupPeriodDays: 36_500,
    permissions: { deny: makeDenyRules({ cwd, configDir, sessionId: session.id }) },
  };
}

/**
 * Each model gets what it understands of this: the CLI sends older ones the budget (1,024 to 31,999), newer ones
 * `adaptive`, which knows no budget, and leaves out `disabled` for those that cannot but think.
 * `summarized`: otherwise newer models do not tell what they think.
 */
function toThinking(thinking: RunOptions['thinking']): NonNullable<Options['thinking']> {
  return thinking.type === 'disabled'
    ? { type: 'disabled' }
    : { type: 'enabled', budgetTokens: thinking.maxTokens, display: 'summarized' };
}

function toMcpServers(servers: Record<string, McpServer>): Record<string, McpServerConfig> {
  return Object.fromEntries(Object.entries(servers).map(([name, server]) => [name, toMcpServer(server)]));
}

/** `alwaysLoad`: the first model call waits for the server, so that its tools are there from the start. */
function toMcpServer(server: McpServer): McpServerConfig {
  if (server.type === 'stdio') {
    const { command, args, env } = server;
    return { type: 'stdio', command, ...(args ? { args } : {}), ...(env ? { env } : {}), alwaysLoad: true };
  }
  const { type, url, headers } = server;
  return { type, url, ...(headers ? { headers } : {}), alwaysLoad: true };
}
