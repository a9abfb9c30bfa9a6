/**
 * Which process this is, as far as another instance can know: for whoever waits to see that it waits for a dead one.
 *
 * A process can only be told to be dead by one that sees the same processes: the same boot of the same machine, the same
 * namespace. Elsewhere, and on systems that do not say, waiting takes its time.
 */

import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import * as z from 'zod/mini';

export const instanceSchema = z.strictObject({
  /** For people: host name and process id. */
  label: z.string(),
  /** Of the machine's start and its process namespace; null where it is not known. */
  world: z.nullable(z.string()),
  pid: z.int(),
  /** When the process began, in ticks since the machine did: a process id is given again. */
  started: z.nullable(z.string()),
});

export type Instance = z.infer<typeof instanceSchema>;

export function thisInstance(): Instance {
  const { pid } = process;
  return { label: `${hostname()}:${pid}`, world: readWorld(), pid, started: startOf(pid) };
}

/** True only where it is certain. */
export function isDead(instance: Instance): boolean {
  const world = readWorld();
  if (world === null || world !== instance.world || instance.started === null) return false;
  return startOf(instance.pid) !== instance.started;
}

function readWorld(): string | null {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return null;
  }
}

/** Null for a process that is not there, or waits to be collected by its parent. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before it is in parentheses and may hold anything.
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? null : (fields[18] ?? null);
  } catch {
    return null;
  }
}
