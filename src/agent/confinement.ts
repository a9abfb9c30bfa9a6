/**
 * What keeps the agent's processes in on this machine: a sandbox where there may be one, Landlock otherwise, and the end that
 * comes with the server's. Found out by trying; it starts a few programs, which takes some 20 ms.
 */

import { dirname } from 'node:path';
import type { Log } from '../lib/log.ts';
import { canUseLandlock } from './landlock.ts';
import { findProgram } from './program.ts';
import { probeSandbox, type SandboxMode, type SandboxProbe } from './sandbox.ts';
import { canTieToParent, prefixOf } from './spawn.ts';

export type Confinement = {
  tieToParent: boolean;
  /** Null without one. `readable`: what in it must be seen. */
  sandbox: { readable: string[] } | null;
  /** The command line in front of the agent's program where there is no sandbox. */
  prefix: string[];
};

export type ConfinementInput = AgentSandboxInput & { sandbox: SandboxMode; log: Log };

export type AgentSandboxInput = {
  memoryDir: string;
  orgDir: string | null;
  /** The server's own files and folders, which are not the agent's to read. */
  hidden: string[];
  /** Folders that a sandbox covers whole, but for what the agent needs in them. */
  covered: string[];
};

/** Rejects where there must be a sandbox and is none. */
export async function findConfinement(input: ConfinementInput): Promise<Confinement> {
  const [tieToParent, sandbox] = await Promise.all([canTieToParent(), findSandbox(input)]);
  const hasLandlock = sandbox === null && input.sandbox !== 'off' && (await canUseLandlock());
  return { tieToParent, sandbox, prefix: prefixOf({ tieToParent, hasLandlock }) };
}

/** Whether the agent can have a sandbox, with what is to be seen and hidden in it. */
export async function probeAgentSandbox(input: AgentSandboxInput): Promise<SandboxProbe> {
  const { memoryDir, hidden, covered } = input;
  return await probeSandbox({ writable: [memoryDir], readable: readableIn(input), hidden: [...hidden, ...covered] });
}

async function findSandbox(input: ConfinementInput): Promise<Confinement['sandbox']> {
  const { sandbox: mode, log } = input;
  if (mode === 'off') return null;
  const probe = await probeAgentSandbox(input);
  if (probe.works) {
    log.info({ sandbox: 'on' }, 'the agent works in a sandbox');
    return { readable: readableIn(input) };
  }
  if (mode === 'on') throw new Error(`SANDBOX is on and there is none: ${probe.reason}`);
  log.warn({ sandbox: 'off', reason: probe.reason }, 'the agent works without a sandbox');
  return null;
}

function readableIn({ orgDir }: AgentSandboxInput): string[] {
  const program = findProgram();
  return [...(program === null ? [] : [dirname(program)]), ...(orgDir === null ? [] : [orgDir])];
}
