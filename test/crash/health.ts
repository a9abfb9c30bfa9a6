/** What GET /health of an instance says, as far as crash tests look at it. */

import { z } from 'zod';
import type { Machine } from './machine.ts';

const health = z.looseObject({
  status: z.enum(['ok', 'degraded']),
  store: z.looseObject({ durable: z.boolean(), fault: z.string().nullable(), last_snapshot_at: z.string().nullable() }),
});

export type Health = z.infer<typeof health>;

/** Null when it gives no answer. */
export async function healthOf({ url }: Pick<Machine, 'url'>): Promise<Health | null> {
  try {
    const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(10_000) });
    return health.parse(await response.json());
  } catch {
    return null;
  }
}
