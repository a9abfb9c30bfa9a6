/**
 * The agent, loaded when it is first needed: its schemas, its gateway and its processes take longer to load than all that a
 * start waits for.
 *
 * Until then it has no process, and so no session that is ready and nothing to end.
 */

import { randomUUID } from 'node:crypto';
import type { AgentHealth } from './agent.ts';
import type { ClaudeAgent, ClaudeAgentDeps } from './claude.ts';
import { type Confinement, findConfinement } from './confinement.ts';
import { defaultLimits, maxRunsOf } from './limits.ts';

export function createLazyAgent(deps: ClaudeAgentDeps): ClaudeAgent {
  let loading: Promise<ClaudeAgent> | null = null;
  let agent: ClaudeAgent | null = null;
  let isStopped = false;

  async function create(): Promise<ClaudeAgent> {
    // It waits for programs, which run while the rest is loaded. What fails is told to whoever needs it.
    let early: Promise<Confinement> | null = findConfinement(deps);
    early.catch(() => undefined);
    const confine = () => {
      const found = early ?? findConfinement(deps);
      early = null;
      return found;
    };
    const { createClaudeAgent } = await import('./claude.ts');
    agent = createClaudeAgent({ ...deps, confine });
    if (isStopped) await agent.stop();
    return agent;
  }

  const load = () => (loading ??= create());

  return {
    maxRuns: maxRunsOf(deps.warm, { ...defaultLimits, ...deps.limits }),
    newSessionId: () => agent?.newSessionId() ?? randomUUID(),
    // What fails here fails again in the run, which tells.
    expect: (run) =>
      void load().then(
        (loaded) => loaded.expect(run),
        () => undefined,
      ),
    run: async (request, onEvent) => (await load()).run(request, onEvent),
    heldPrompts: async (sessionId, promptIds) => (await load()).heldPrompts(sessionId, promptIds),
    forget: async (sessionId) => (await load()).forget(sessionId),
    forgetArchives: async (sessionIds) => (await load()).forgetArchives(sessionIds),
    letGo: async () => (await loading)?.letGo(),
    health: () => agent?.health() ?? unloaded,
    warmUp: async () => (await load()).warmUp(),
    keepSpares: async () => agent?.keepSpares(),
    confinement: async () => (await load()).confinement(),
    betweenStarts: async (work) => (await load()).betweenStarts(work),
    stop: async () => {
      isStopped = true;
      await (await loading)?.stop();
    },
  };
}

const unloaded: AgentHealth = {
  ok: true,
  version: '',
  warm: 0,
  sandbox: null,
  processes: { idle: 0, inRuns: 0, starting: 0, waiting: 0, memoryBytes: null },
};
