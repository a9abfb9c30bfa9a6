/** The claude processes of a test's runs, and the signals that a test sends them. */

import { readFile } from 'node:fs/promises';
import type { AgentHost } from './agent-host.ts';
import { until } from './until.ts';

/** The process ids of the claude processes themselves, without their tools. */
export async function claudesOf(host: AgentHost): Promise<number[]> {
  const found = await Promise.all(
    (await host.processes()).map(async ({ pid }) => {
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
      // Its forks carry the name too, so only those that the test itself has started.
      return name.trim() === 'claude' && (await parentOf(pid)) === process.pid ? [pid] : [];
    }),
  );
  return found.flat();
}

/** Whether there was one to signal. */
export async function signalClaude(host: AgentHost, signal: NodeJS.Signals): Promise<boolean> {
  const pids = await claudesOf(host);
  return pids.filter((pid) => isSent(pid, signal)).length > 0;
}

/** For a run that has just been started: signals its claude process as soon as there is one. */
export async function signalStarting(host: AgentHost, signal: NodeJS.Signals): Promise<void> {
  await until('a claude process is there', () => signalClaude(host, signal));
}

export async function untilRunning(host: AgentHost, command: string, count: number): Promise<void> {
  await until(`${count} of "${command}" run`, async () => {
    return (await host.processes()).filter((each) => each.command === command).length >= count;
  });
}

async function parentOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
}

function isSent(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    // It went by itself.
    return false;
  }
}
