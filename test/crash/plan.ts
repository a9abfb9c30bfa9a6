/** What the parent tells an instance under test, and what the instance writes into its journal. */

/** A moment of one file operation: `half` only of those that write. */
export type Point = { kind: string; nth: number; phase: 'before' | 'half' | 'after' };

export type Plan = {
  /** Outside of every watched folder. One line an entry. */
  journal: string;
  /** Watched folders by the name that kinds give them. */
  roots: Record<string, string>;
  /** What happens to the process at a point: the machine dies, or freezes. */
  strike: (Point & { by: 'SIGKILL' | 'SIGSTOP' }) | null;
  /** While this file is there, the operations that it names fail: a `Fault` as JSON. */
  faultFile: string;
  /** Flushing does nothing: what a harness must be able to see. */
  isLying: boolean;
};

/** `match`: a regular expression that a kind is tested with. */
export type Fault = { code: string; match: string };

export type Line = {
  /** Monotonic nanoseconds, the same for every process of the machine. */
  at: number;
  pid: number;
  /** The operation's number in its process. */
  n: number;
  phase: 'before' | 'after';
  /** Which operation on which sort of file: `volume datasync G/messages.db-wal`. */
  kind: string;
  name: string;
  path: string;
  to?: string;
  inode?: number;
  /** Null: wherever the handle was. */
  position?: number | null;
  bytes?: number;
  /** The name was not there before. */
  isNew?: boolean;
  /** The symbolic link that a rename has replaced. */
  replaced?: string | null;
  /** Why it failed. */
  code?: string;
};

export const planVariable = 'PICOCLAW_CRASH_PLAN';
