/**
 * Ends what a run's tools left behind.
 *
 * Every process of a run inherits a variable with a random value in its environment. Once the claude process is gone,
 * whatever still carries it is the run's and is killed, however it was detached (setsid, nohup, a double fork). A
 * program that wipes its own environment escapes; so does everything where there is no /proc (macOS), where this does nothing.
 */

import { readdir, readFile } from 'node:fs/promises';

export const markerVariable = 'PICOCLAW_RUN_MARKER';

/** A process can fork while the others are being killed; a second look finds it, and nothing forks for ever. */
const maxRounds = 10;

/** Kills every process that carries the marker; returns how many it found. */
export async function killLeftovers(marker: string): Promise<number> {
  let killed = 0;
  for (let round = 0; round < maxRounds; round += 1) {
    const pids = await findMarked(marker);
    if (pids.length === 0) break;
    for (const pid of pids) if (kill(pid)) killed += 1;
  }
  return killed;
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

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
