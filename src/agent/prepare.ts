/** What a run needs before it has a process: everything is read afresh for each run, and all that can fail is in here. */

import { access } from 'node:fs/promises';
import type { Log } from '../lib/log.ts';
import type { AgentPrompt, AgentRequest, ToolContext } from './agent.ts';
import { type ArchiveLimits, Archiver } from './archive/archiver.ts';
import type { McpServers, ReadServers } from './managed-mcp.ts';
import { makeOptions, type OptionsSettings, type ToolServer } from './options.ts';
import { ClaudeProcess, type ProcessDeps } from './process.ts';
import type { Session } from './session.ts';
import { readSystemPrompt } from './system-prompt.ts';

export type PrepareDeps = {
  settings: OptionsSettings;
  orgDir: string | null;
  systemPromptOverride: string | null;
  /** The organisation's. */
  readServers: ReadServers;
  toolServer: (context: ToolContext) => Promise<ToolServer>;
  /** IANA. */
  timezone: string;
  archiveLimits: ArchiveLimits;
  /** Loads the SDK when it is first wanted. */
  load: () => Promise<ProcessDeps>;
  log: Log;
};

export type PrepareInput = { request: AgentRequest; prompt: AgentPrompt; session: Session };

export type Prepared = {
  start: () => ClaudeProcess;
  archiver: Archiver;
  /** For whoever asked. */
  warnings: string[];
};

/** Null, with the cause in the log, when the run cannot have a process. */
export async function prepare(deps: PrepareDeps, input: PrepareInput): Promise<Prepared | null> {
  const { request, prompt, session } = input;
  const { runId, conversationId } = request;
  const { log, timezone, archiveLimits } = deps;
  const warnings: string[] = [];
  const archiver = new Archiver({
    memoryDir: deps.settings.cwd,
    timezone,
    ...archiveLimits,
    runId,
    conversationId,
    sessionId: session.id,
    promptId: prompt.id,
    log,
  });
  try {
    const processDeps = await deps.load();
    // A process in a folder that is not there fails with words about something else.
    await access(deps.settings.cwd);
    const options = makeOptions(deps.settings, {
      session,
      systemPrompt: await readSystemPrompt({ orgDir: deps.orgDir, override: deps.systemPromptOverride }),
      run: { ...request.options, mcpServers: await joinServers(deps, request, warnings) },
      toolServer: await deps.toolServer({ runId, conversationId }),
      hooks: archiver.hooks,
    });
    return { start: () => new ClaudeProcess(processDeps, options), archiver, warnings };
  } catch (error) {
    log.error({ run_id: runId, err: error }, 'the agent could not be prepared');
    return null;
  }
}

/** The organisation's servers and the caller's. What is wrong with the file is for the log, not for the caller. */
async function joinServers(deps: PrepareDeps, request: AgentRequest, warnings: string[]): Promise<McpServers> {
  const { servers, fault } = await deps.readServers();
  if (fault !== null) {
    deps.log.warn({ run_id: request.runId, fault }, "the organisation's MCP servers are those of an earlier state");
    warnings.push("The organisation's managed-mcp.json has a fault; its MCP servers are those of its last good state");
  }
  const asked = request.options.mcpServers;
  for (const name of Object.keys(asked).filter((each) => Object.hasOwn(servers, each)))
    warnings.push(`MCP server "${name}" is the organisation's; the one of the request is not used`);
  return { ...asked, ...servers };
}
