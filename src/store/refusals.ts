/** Why a use of the store is refused, as its caller is told. */

import { Problem, storeTakenOver } from '../domain/problem.ts';
import { describeFault } from './volume/fault.ts';
import { TenureOver } from './volume/volume.ts';

/** Null: it is not known how the volume was lost. */
export function lossProblem(loss: TenureOver | null): Problem {
  if (loss === null || loss.kind === 'taken') return storeTakenOver();
  return new Problem('store_unavailable', `${loss.message}; if this was a change, it may have been stored`, {
    cause: loss,
  });
}

/** For `.catch`: every other error goes on. */
export function rejectLost(error: unknown): never {
  throw error instanceof TenureOver ? lossProblem(error) : error;
}

export function unconfirmed(cause: unknown): Problem {
  const detail = 'the persistent volume cannot be used; nothing is answered from memory';
  return new Problem('not_durable', detail, { cause });
}

/** `cause` is null when it only takes long. */
export function unavailable(cause: unknown): Problem {
  const detail =
    cause === null
      ? 'the database is being read from the volume, or the volume does not answer'
      : `the database on the volume cannot be opened: ${describeFault(cause)}`;
  return new Problem('store_unavailable', detail, { cause });
}

export function shuttingDown(): Problem {
  return new Problem('shutting_down', 'the server is shutting down', { retryAfterS: 5 });
}
