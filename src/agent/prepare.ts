/** What a run needs before it has a process: everything is read afresh for each run, and all that can fail is in here. */

import { access } from 'node:fs/promises';
import type { Log } from '../lib/log.ts';
import type { AgentRequest, ToolContext } from './agent.ts';
import { makeOptions, type OptionsSettings, type ToolServer } from './options.ts';
import { ClaudeProcess, type ProcessDeps } from './process.ts';
import type { Session } from './session.ts';
import { readSystemPrompt } from './system-prompt.ts';

export type PrepareDeps = {
  settings: OptionsSettings;
  orgDir: string | null;
  systemPromptOverride: string | null;
  toolServer: (context: ToolContext) => Promise<ToolServer>;
  /** Loads the SDK when it is first wanted. */
  load: () => Promise<ProcessDeps>;
  log: Log;
};

/** Starts the process. */
export type Prepared = () => ClaudeProcess;

/** Null, with the cause in the log, when the run cannot have a process. */
export async function prepare(deps: PrepareDeps, request: AgentRequest, session: Session): Promise<Prepared | null> {
  const { runId, conversationId } = request;
  try {
    const processDeps = await deps.load();
    // A process in a folder that is not there fails with words about something else.
    await access(deps.settings.cwd);
    const options = makeOptions(deps.settings, {
      session,
      systemPrompt: await readSystemPrompt({ orgDir: deps.orgDir, override: deps.systemPromptOverride }),
      run: request.options,
      toolServer: await deps.toolServer({ runId, conversationId }),
    });
    return () => new ClaudeProcess(processDeps, options);
  } catch (error) {
    deps.log.error({ run_id: runId, err: error }, 'the agent could not be prepared');
    return null;
  }
}
