/**
 * What a claude process was started with, and whether it serves a run that wants something else; pure.
 *
 * What may be changed in a live process was checked one by one: the next request's body is the same, byte for byte, as that
 * of a process started so. The way back to the CLI's own default model is not.
 */

import type { Effort, RunOptions } from '../domain/run.ts';

export type Spec = {
  /** A mark of all that only a new process takes up. */
  fixed: string;
  /** Good for one run only: a budget counts from the start of a process. */
  once: boolean;
} & Changeable;

/** Null: the CLI's own default. */
export type Changeable = { model: string | null; effort: Effort | null; thinking: RunOptions['thinking'] };

export type Reuse = { kind: 'as_it_is' } | { kind: 'change'; changes: Partial<Changeable> } | { kind: 'replace' };

export function decideReuse(has: Spec, wants: Spec): Reuse {
  if (has.once || has.fixed !== wants.fixed) return { kind: 'replace' };
  if (wants.model === null && has.model !== null) return { kind: 'replace' };
  const changes: Partial<Changeable> = {
    ...(wants.model === has.model ? {} : { model: wants.model }),
    ...(wants.effort === has.effort ? {} : { effort: wants.effort }),
    ...(isSame(wants.thinking, has.thinking) ? {} : { thinking: wants.thinking }),
  };
  return Object.keys(changes).length === 0 ? { kind: 'as_it_is' } : { kind: 'change', changes };
}

function isSame(a: RunOptions['thinking'], b: RunOptions['thinking']): boolean {
  return a.type === 'disabled' ? b.type === 'disabled' : b.type === 'enabled' && a.maxTokens === b.maxTokens;
}
