/** From a request to the SDK's options; pure. What is settled here is what the agent may do and what it never sees. */

import type { McpSdkServerConfigWithInstance, Options } from '@anthropic-ai/claude-agent-sdk';
import { toolServerName } from '../domain/mcp-server.ts';
import type { RunOptions } from '../domain/run.ts';
import type { ProcessEnvironment } from './environment.ts';
import { makeDenyRules } from './permissions.ts';
import type { Session } from './session.ts';
import type { SystemPrompt } from './system-prompt.ts';
import { builtInTools } from './tools.ts';

/** The same for every run. */
export type OptionsSettings = {
  cwd: string;
  /** `.claude` in the memory folder. */
  sessionsDir: string;
  /** The server's own files and folders. */
  hidden: string[];
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
  env: ProcessEnvironment;
  configDir: string;
  toolServer: ToolServer;
  /** The other MCP servers by their names, as the process is to see them: in this process too. */
  mcpServers: Record<string, McpSdkServerConfigWithInstance>;
  hooks: NonNullable<Options['hooks']>;
};

export function makeOptions(settings: OptionsSettings, input: OptionsInput): Options {
  const { run, session } = input;
  const { model, fallbackModel } = chooseModels(settings, run);
  return {
    ...(session.kind === 'resume' ? { resume: session.id } : { sessionId: session.id }),
    cwd: settings.cwd,
    env: input.env,
    systemPrompt: input.systemPrompt,
    // Without a name a resumed session goes on with the model that it had last.
    model: model ?? 'default',
    ...(fallbackModel === null ? {} : { fallbackModel }),
    thinking: toThinking(run.thinking),
    ...(run.effort === null ? {} : { effort: run.effort }),
    ...(run.maxTurns === null ? {} : { maxTurns: run.maxTurns }),
    ...(run.maxBudgetUsd === null ? {} : { maxBudgetUsd: run.maxBudgetUsd }),

    tools: builtInTools,
    permissionMode: 'bypassPermissions',
    allowDangerouslySkipPermissions: true,
    settings: makeSettings(settings, input),
    managedSettings,
    // `user` is the process's own configuration, which leads to the workspace's persona and skills and to nothing else of it:
    // a settings file in the workspace could have hooks and environment for every run to come.
    settingSources: ['user'],

    mcpServers: {
      ...input.mcpServers,
      [toolServerName]: { type: 'sdk', name: toolServerName, instance: input.toolServer, timeout: settings.toolMs },
    },
    // The working directory is the agent's to write: a `.mcp.json` there would run commands at the next start.
    strictMcpConfig: true,
    hooks: input.hooks,

    includePartialMessages: true,
    // Otherwise a user's "/clear" drops the conversation and "@/etc/passwd" puts that file into the prompt.
    verbatimPrompts: true,
  };
}

/** Null: the CLI's own default, or none. */
export function chooseModels(
  { defaultModel, fallbackModel }: Pick<OptionsSettings, 'defaultModel' | 'fallbackModel'>,
  run: Pick<RunOptions, 'model'>,
): { model: string | null; fallbackModel: string | null } {
  const model = run.model ?? defaultModel;
  return { model, fallbackModel: fallbackModel === model ? null : fallbackModel };
}

/**
 * A skill is a text with files beside it, and the agent may write one: it is not to bring what would act in every later run.
 * Of these settings alone it can be kept; where the machine has managed settings of its own, they hold in their place.
 */
const managedSettings: NonNullable<Options['managedSettings']> = {
  // Otherwise a skill with a `.claude-plugin/plugin.json` is a plugin, with hooks, agents and commands.
  blockedMarketplaces: [{ source: 'skills-dir' }],
  // Otherwise a `SKILL.md` can have hooks. Ours, which are in this process, run all the same.
  allowManagedHooksOnly: true,
};

function makeSettings(
  { cwd, sessionsDir, hidden }: OptionsSettings,
  { configDir, session }: OptionsInput,
): NonNullable<Options['settings']> {
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
    permissions: { deny: makeDenyRules({ cwd, sessionsDir, configDir, hidden, sessionId: session.id }) },
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
