/** What a run wants of its process: everything is read afresh for each run, and all that can fail is in here. */

import { createHash } from 'node:crypto';
import { access } from 'node:fs/promises';
import type { RunOptions } from '../domain/run.ts';
import type { Log } from '../lib/log.ts';
import type { Wanted } from './live-process.ts';
import type { McpServers, ReadServers } from './managed-mcp.ts';
import { chooseModels, type OptionsSettings } from './options.ts';
import type { Session } from './session.ts';
import type { Spec } from './spec.ts';
import { readSystemPrompt, type SystemPrompt } from './system-prompt.ts';
import { markWorkspace } from './workspace.ts';

export type PrepareDeps = {
  settings: OptionsSettings;
  orgDir: string | null;
  systemPromptOverride: string | null;
  /** The organisation's. */
  readServers: ReadServers;
  log: Log;
};

/** `warnings`: for whoever asked. */
export type Prepared = { wanted: Wanted; warnings: string[] };

/** Rejects when a run cannot have a process, with a reason for the log. */
export async function prepare(
  deps: PrepareDeps,
  { session, run }: { session: Session; run: RunOptions },
): Promise<Prepared> {
  const { settings } = deps;
  const [systemPrompt, servers, workspace] = await Promise.all([
    readSystemPrompt({ orgDir: deps.orgDir, override: deps.systemPromptOverride }),
    joinServers(deps, run.mcpServers),
    markWorkspace({ memoryDir: settings.cwd, sessionsDir: settings.sessionsDir }),
    // A process in a folder that is not there fails with words about something else.
    access(settings.cwd),
  ]);
  const joined = { ...run, mcpServers: servers.joined };
  const spec = makeSpec(settings, { run: joined, systemPrompt, workspace });
  return { wanted: { session, run: joined, systemPrompt, spec }, warnings: servers.warnings };
}

function makeSpec(
  settings: OptionsSettings,
  input: { run: RunOptions; systemPrompt: SystemPrompt; workspace: string },
): Spec {
  const { run, systemPrompt, workspace } = input;
  const { model, fallbackModel } = chooseModels(settings, run);
  const fixed = [systemPrompt, workspace, run.mcpServers, run.maxTurns, run.maxBudgetUsd, fallbackModel];
  return {
    fixed: createHash('sha256').update(JSON.stringify(fixed)).digest('hex'),
    once: run.maxBudgetUsd !== null,
    model,
    effort: run.effort,
    thinking: run.thinking,
  };
}

/** The organisation's servers and the caller's. What is wrong with the file is for the log, not for the caller. */
async function joinServers(deps: PrepareDeps, asked: McpServers): Promise<{ joined: McpServers; warnings: string[] }> {
  const { servers, fault } = await deps.readServers();
  const warnings: string[] = [];
  if (fault !== null) {
    deps.log.warn({ fault }, "the organisation's MCP servers are those of an earlier state");
    warnings.push("The organisation's managed-mcp.json has a fault; its MCP servers are those of its last good state");
  }
  for (const name of Object.keys(asked).filter((each) => Object.hasOwn(servers, each)))
    warnings.push(`MCP server "${name}" is the organisation's; the one of the request is not used`);
  return { joined: { ...asked, ...servers }, warnings };
}
