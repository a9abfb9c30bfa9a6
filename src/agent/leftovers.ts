/**
 * Ends what a run's tools left behind.
 *
 * Every process of a run inherits a variable with a random value in its environment. Once the claude process is gone,
 * whatever still carries it is the run's and is killed, however it was detached (setsid, nohup, a double fork). A program
 * that wipes its own environment is found by the sandbox's process namespace, and escapes where there is no sandbox; so does
 * everything where there is no /proc (macOS), where this does nothing.
 */

import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export const markerVariable = 'PICOCLAW_RUN_MARKER';

/** What a process is known by as one of a run's. */
export type Belonging = {
  marker: string;
  /** The sandbox's, as `namespaceOf` tells it; null without one. */
  namespace: string | null;
};

/**
 * A process can fork while the others are being killed, and one that was killed takes a moment to go: looked at again
 * until nothing is found. What is then still there (in an uninterruptible call to a dead volume) cannot be killed.
 */
const maxRounds = 100;
const roundMs = 10;
/** A process that is being replaced by another program shows no environment until that runs. */
const maxUnsureRounds = 5;

/** Kills every process that belongs to the run, but for those to keep, and waits until it is gone. */
export async function killLeftovers(belonging: Belonging, keep: ReadonlySet<number> = new Set()): Promise<void> {
  let unsureRounds = 0;
  for (let round = 0; round < maxRounds; round += 1) {
    const looks = (await lookAtAll(belonging)).filter(({ pid }) => !keep.has(pid));
    const found = looks.filter(({ belongs }) => belongs === true);
    if (found.length === 0 && (looks.length === 0 || unsureRounds === maxUnsureRounds)) return;
    if (found.length === 0) unsureRounds += 1;
    for (const { pid } of found) kill(pid);
    await sleep(roundMs);
  }
}

/** The processes that belong to it. */
export async function findLeftovers(belonging: Belonging): Promise<number[]> {
  return (await lookAtAll(belonging)).filter(({ belongs }) => belongs === true).map(({ pid }) => pid);
}

/** The namespace of process ids that a process lives in; null where that is not to be seen. */
export async function namespaceOf(pid: number | 'self'): Promise<string | null> {
  return await readlink(`/proc/${pid}/ns/pid`).catch(() => null);
}

type Look = { pid: number; belongs: true | 'unsure' };

/** Without those that surely are somebody else's. */
async function lookAtAll(belonging: Belonging): Promise<Look[]> {
  const names: string[] = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const looks = await Promise.all(
    pids.filter((pid) => pid !== process.pid).map(async (pid) => ({ pid, belongs: await belongs(pid, belonging) })),
  );
  return looks.filter((look): look is Look => look.belongs !== false);
}

async function belongs(pid: number, { marker, namespace }: Belonging): Promise<boolean | 'unsure'> {
  // Neither is to be had of a process that is gone, is a zombie, or belongs to somebody else.
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => null);
  if (environment === null) return false;
  if (`${environment}\0`.includes(`${markerVariable}=${marker}\0`)) return true;
  if (namespace !== null && (await namespaceOf(pid)) === namespace) return true;
  // A thread of the kernel runs no program.
  const program = environment === '' ? await readlink(`/proc/${pid}/exe`).catch(() => null) : null;
  return program === null ? false : 'unsure';
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
