/**
 * Ends what a run's tools left behind.
 *
 * Every process of a run inherits a variable with a random value in its environment. Once the claude process is gone,
 * whatever still carries it is the run's and is killed, however it was detached (setsid, nohup, a double fork). A
 * program that wipes its own environment escapes; so does everything where there is no /proc (macOS), where this does nothing.
 */

import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export const markerVariable = 'PICOCLAW_RUN_MARKER';

/**
 * A process can fork while the others are being killed, and one that was killed takes a moment to go: looked at again
 * until nothing is found. What is then still there (in an uninterruptible call to a dead volume) cannot be killed.
 */
const maxRounds = 100;
const roundMs = 10;

/** Kills every process that carries the marker, but for those to keep, and waits until it is gone. */
export async function killLeftovers(marker: string, keep: ReadonlySet<number> = new Set()): Promise<void> {
  for (let round = 0; round < maxRounds; round += 1) {
    const pids = (await findMarked(marker)).filter((pid) => !keep.has(pid));
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    await sleep(roundMs);
  }
}

/** The processes that carry the marker. */
export async function findMarked(marker: string): Promise<number[]> {
  const entry = `${markerVariable}=${marker}\0`;
  const names: string[] = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = await Promise.all(pids.map(async (pid) => ((await environOf(pid)).includes(entry) ? pid : null)));
  return marked.filter((pid): pid is number => pid !== null && pid !== process.pid);
}

/** Empty for a process that is gone, is a zombie, or belongs to somebody else. */
async function environOf(pid: number): Promise<string> {
  return `${await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')}\0`;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
