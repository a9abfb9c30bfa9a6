/**
 * Ends what a run's tools left behind.
 *
 * Every process of a run inherits a variable with a random value in its environment. Once the claude process is gone,
 * whatever still carries it is the run's and is killed, however it was detached (setsid, nohup, a double fork). A program
 * that wipes its own environment is found as a descendant of the sandbox's first process, which it cannot cease to be. It
 * escapes where there is no sandbox; so does everything where there is no /proc (macOS), where this does nothing.
 */

import { readdir, readFile, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export const markerVariable = 'PICOCLAW_RUN_MARKER';

/** What a process is known by as one of a run's. */
export type Belonging = {
  marker: string;
  /** The first process of its sandbox; null without one. */
  sandbox: SandboxInit | null;
  /** Process ids of those that did not show whose they are, when none of the run's tools had been started yet. */
  strangers: ReadonlySet<number>;
};

/** Of a run that has no sandbox, as far as it is known when it starts. */
export function markedBy(marker: string): Belonging {
  return { marker, sandbox: null, strangers: new Set() };
}

/** A process id may be given to another process; with the time of its start it is not. */
export type SandboxInit = { pid: number; startedAt: string };

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
    const { found, unsure } = await look(belonging);
    const leftovers = found.filter((pid) => !keep.has(pid));
    const isUnsure = unsure.some((pid) => !belonging.strangers.has(pid));
    if (leftovers.length === 0 && (!isUnsure || unsureRounds === maxUnsureRounds)) return;
    if (leftovers.length === 0) unsureRounds += 1;
    for (const pid of leftovers) kill(pid);
    await sleep(roundMs);
  }
}

/** The processes that carry the marker, and what else is worth knowing before the first of the run's tools is started. */
export async function findBelonging(marker: string): Promise<{ own: ReadonlySet<number>; belonging: Belonging }> {
  const { found, unsure } = await look(markedBy(marker));
  const inits = await Promise.all(found.map(sandboxInitOf));
  const sandbox = inits.find((init) => init !== null) ?? null;
  return { own: new Set(found), belonging: { marker, sandbox, strangers: new Set(unsure) } };
}

/** Null of a process that is not the first in a namespace of processes below the server's own. */
async function sandboxInitOf(pid: number): Promise<SandboxInit | null> {
  const [status, stat] = await Promise.all([read(`/proc/${pid}/status`), statOf(pid)]);
  const isInit = /^NSpid:\t\d+\t(?:\d+\t)*1$/m.test(status);
  return isInit && stat !== null ? { pid, startedAt: stat.startedAt } : null;
}

/** `unsure`: those that do not show whose they are. What surely is somebody else's is in neither. */
type Found = { found: number[]; unsure: number[] };

async function look({ marker, sandbox }: Belonging): Promise<Found> {
  const names: string[] = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const others = pids.filter((pid) => pid !== process.pid);
  const [below, marks] = await Promise.all([
    sandbox === null ? nobody : findBelow(sandbox, others),
    Promise.all(others.map((pid) => isMarked(pid, marker))),
  ]);
  const isFound = (pid: number, at: number) => marks[at] === true || below.found.has(pid);
  const isUnsure = (pid: number, at: number) => marks[at] === 'unsure' || below.unsure.has(pid);
  return {
    found: others.filter(isFound),
    unsure: others.filter((pid, at) => !isFound(pid, at) && isUnsure(pid, at)),
  };
}

const nobody = { found: new Set<number>(), unsure: new Set<number>() };

async function isMarked(pid: number, marker: string): Promise<boolean | 'unsure'> {
  // Not to be had of a process that is gone, is a zombie, or belongs to somebody else.
  const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => null);
  if (environment === null) return false;
  if (environment !== '') return `${environment}\0`.includes(`${markerVariable}=${marker}\0`);
  // A thread of the kernel runs no program.
  const program = await readlink(`/proc/${pid}/exe`).catch(() => null);
  return program === null ? false : 'unsure';
}

/**
 * The sandbox's first process and all its descendants; none when it is gone, as they are gone with it. One whose parent ended
 * between the two looks is unsure: it has another by now.
 */
async function findBelow(init: SandboxInit, pids: number[]): Promise<typeof nobody> {
  const stats = new Map(await Promise.all(pids.map(async (pid) => [pid, await statOf(pid)] as const)));
  if (stats.get(init.pid)?.startedAt !== init.startedAt) return nobody;
  const isBelow = (pid: number): boolean | 'unsure' => {
    let at = pid;
    for (let steps = 0; at !== init.pid && steps <= pids.length; steps += 1) {
      const parent = stats.get(at)?.parent;
      if (parent === undefined) return 'unsure';
      // Of the first process of the machine, or of the container, which this process may be itself.
      if (parent === 0 || parent === process.pid) return false;
      at = parent;
    }
    return at === init.pid;
  };
  const there = pids.filter((pid) => stats.get(pid)?.isThere === true);
  return {
    found: new Set(there.filter((pid) => isBelow(pid) === true)),
    unsure: new Set(there.filter((pid) => isBelow(pid) === 'unsure')),
  };
}

/** From proc_pid_stat(5); null of a process that is gone. */
async function statOf(pid: number): Promise<{ parent: number; startedAt: string; isThere: boolean } | null> {
  const stat = await read(`/proc/${pid}/stat`);
  // The name before it may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, parent, startedAt] = [fields[0], fields[1], fields[19]];
  if (state === undefined || parent === undefined || startedAt === undefined) return null;
  // A zombie has ended, and only waits to be asked how.
  return { parent: Number(parent), startedAt, isThere: state !== 'Z' };
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'latin1').catch(() => '');
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went by itself.
  }
}
