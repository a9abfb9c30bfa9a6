/** The answer of GET /health as a client reads it. */

import { z } from '@hono/zod-openapi';
import { nextDueAt } from './task-json.ts';

export const healthResponse = z
  .strictObject({
    status: z.enum(['ok', 'degraded']),
    version: z.string(),
    commit: z.string(),
    build_time: z.string(),
    max_execution_ms: z.int().openapi({ description: 'The longest that a run may take, in milliseconds.' }),
    database: z.strictObject({ ok: z.boolean(), conversations: z.int(), tasks: z.int() }),
    volumes: z
      .strictObject({ memory: z.boolean(), skills: z.boolean(), sessions: z.boolean(), store: z.boolean() })
      .openapi({ description: 'As found at start; `skills` may be false in a healthy server.' }),
    agent: z.strictObject({
      ok: z.boolean(),
      version: z.string(),
      warm: z.int().openapi({ description: 'Processes that are ready for a new conversation.' }),
      sandbox: z.enum(['on', 'off']).nullable().openapi({
        description: 'Whether what the agent runs is kept in a sandbox; null until the agent is loaded.',
      }),
      processes: z.strictObject({
        idle: z.int().openapi({ description: 'That keep a conversation between its runs.' }),
        in_runs: z.int(),
        starting: z.int(),
        waiting: z.int().openapi({ description: 'Runs that wait for their turn to start one.' }),
        memory_bytes: z.int().nullable().openapi({
          description: 'What all of them take, as of some seconds ago; null before it was measured.',
        }),
      }),
    }),
    store: z.strictObject({
      durable: z.boolean().openapi({
        description:
          'False from a failed sync until the next that succeeds, and while the volume is not this instance’s.',
      }),
      epoch: z.int().openapi({
        description: 'Grows with each takeover of the volume and each snapshot, and never restarts. 0: not taken yet.',
      }),
      last_sync_at: z.iso.datetime().nullable(),
      fault: z.string().nullable().openapi({ description: 'Why `durable` is false.' }),
      owner: z.string().nullable().openapi({ description: 'The other instance that is at work on the volume.' }),
      sync_ms: z.number().nullable().openapi({ description: 'What the last sync that wrote something took.' }),
      hydrate_ms: z
        .number()
        .nullable()
        .openapi({ description: 'What the last takeover took, reading it all included.' }),
      database_bytes: z.int().openapi({ description: 'As of the last checkpoint.' }),
      wal_bytes: z.int().openapi({ description: 'Written to the volume since the last snapshot.' }),
      last_snapshot_at: z.iso.datetime().nullable(),
      last_snapshot_ms: z.number().nullable(),
    }),
    next_due_at: nextDueAt,
  })
  .openapi('Health');
