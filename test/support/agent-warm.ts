/** An agent that keeps its processes, and what a test wants to know of them. */

import { createHash } from 'node:crypto';
import type { ClaudeAgentDeps, WarmLimits } from '../../src/agent/claude.ts';
import { probeSandbox } from '../../src/agent/sandbox.ts';
import { type AgentHost, startAgentHost } from './agent-host.ts';
import { claudesOf } from './agent-processes.ts';
import type { ModelRequest } from './model.ts';
import { obey } from './obedient-model.ts';
import { until } from './until.ts';

export type WarmHost = AgentHost & {
  /** The process ids of its claude processes. */
  claudes(): Promise<number[]>;
  /** Resolves when it has this many idle processes, and no other. */
  untilIdle(count: number): Promise<void>;
  untilSpares(count: number): Promise<void>;
};

export async function startWarmHost(
  deps: Omit<Partial<ClaudeAgentDeps>, 'warm'> & { warm?: Partial<WarmLimits> } = {},
): Promise<WarmHost> {
  const host = await startAgentHost({
    ...deps,
    warm: { spares: 0, conversations: 10, idleMs: 600_000, maxProcesses: 40, ...deps.warm },
  });
  obey(host.model);
  const processes = () => host.agent.health().processes;
  return {
    ...host,
    claudes: () => claudesOf(host),
    untilIdle: (count) =>
      until(`${count} are idle`, async () => {
        // A look takes its time, and so there is enough of it.
        await host.processes();
        const { idle, inRuns, starting } = processes();
        return idle === count && inRuns === 0 && starting === 0;
      }),
    untilSpares: (count) =>
      until(`${count} spares are ready`, async () => {
        await host.processes();
        return host.agent.health().warm === count;
      }),
  };
}

/** All of a request but what is said, and by whom; what is long as its digest. */
export function settingsOf(request: ModelRequest | undefined): Record<string, string> {
  const { messages: _, metadata: __, ...rest } = request?.body ?? { messages: [], model: '' };
  const shorten = (text: string) =>
    text.length < 200 ? text : `${text.length} characters, ${createHash('sha256').update(text).digest('hex')}`;
  return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, shorten(JSON.stringify(value))]));
}

/** Whether this machine can have one. */
export async function hasSandbox(): Promise<boolean> {
  return (await probeSandbox()).works;
}
