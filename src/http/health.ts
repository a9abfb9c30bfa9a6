/**
 * What GET /health says. It reads counters and states that are in memory or in the runtime database: the volume's data is
 * never touched, nothing is synced.
 */

import { z } from '@hono/zod-openapi';
import { Problem } from '../domain/problem.ts';
import type { Log } from '../lib/log.ts';
import { nextDueAt } from './task-json.ts';

export type HealthReport = {
  /** The runtime database; the counts are 0 when it cannot be read. */
  database: { ok: boolean; conversations: number; tasks: number };
  volumes: VolumeHealth;
  agent: AgentHealth;
  store: StoreHealth;
  /** When a check may next find a task to run; null when never, and when the database cannot be read. */
  nextDueAt: string | null;
};

/** `version`: of the agent's program; `warm`: processes that are ready for a conversation. */
export type AgentHealth = { ok: boolean; version: string; warm: number };

/** As the volume says it (store/volume/volume.ts). */
export type StoreHealth = {
  durable: boolean;
  epoch: number;
  lastSyncAt: string | null;
  fault: string | null;
  owner: string | null;
  syncMs: number | null;
  hydrate: { ms: number; bytes: number } | null;
  databaseBytes: number;
  walBytes: number;
  lastSnapshot: { at: string; ms: number } | null;
};

/**
 * As found at start. `memory`, `sessions` (`.claude` in MEMORY_DIR) and `store`: can be written. `skills`: SKILLS_DIR is
 * there; it need not be.
 */
export type VolumeHealth = { memory: boolean; skills: boolean; sessions: boolean; store: boolean };

export type HealthDeps = {
  store: { counts(): Promise<{ conversations: number; tasks: number }> };
  nextDueAt(): Promise<string | null>;
  volume: { status(): StoreHealth };
  agent: { health(): AgentHealth };
  volumes: VolumeHealth;
  log: Log;
};

/** Never rejects: a database that cannot be read is part of the report. */
export async function readHealth(deps: HealthDeps): Promise<HealthReport> {
  const rest = { volumes: deps.volumes, agent: deps.agent.health(), store: deps.volume.status() };
  try {
    const counts = await deps.store.counts();
    return { database: { ok: true, ...counts }, nextDueAt: await deps.nextDueAt(), ...rest };
  } catch (error) {
    // Not ours, or faulty: what is wrong has been logged when it began.
    if (!(error instanceof Problem)) deps.log.error({ err: error }, 'the runtime database cannot be read');
    return { database: { ok: false, conversations: 0, tasks: 0 }, nextDueAt: null, ...rest };
  }
}

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
      warm: z.int().openapi({ description: 'Processes that are ready for a conversation.' }),
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

export type HealthResponse = z.output<typeof healthResponse>;

export type HealthSettings = { version: string; commit: string; buildTime: string; maxExecutionMs: number };

export function toHealthResponse(
  report: HealthReport,
  input: { settings: HealthSettings; stopping: boolean },
): HealthResponse {
  const { database, volumes, agent, store } = report;
  const { settings, stopping } = input;
  const ok =
    !stopping && database.ok && volumes.memory && volumes.sessions && volumes.store && agent.ok && store.durable;
  return {
    status: ok ? 'ok' : 'degraded',
    version: settings.version,
    commit: settings.commit,
    build_time: settings.buildTime,
    max_execution_ms: settings.maxExecutionMs,
    database: { ok: database.ok, conversations: database.conversations, tasks: database.tasks },
    volumes,
    agent: { ok: agent.ok, version: agent.version, warm: agent.warm },
    store: {
      durable: store.durable,
      epoch: store.epoch,
      last_sync_at: store.lastSyncAt,
      fault: store.fault,
      owner: store.owner,
      sync_ms: store.syncMs === null ? null : Math.round(store.syncMs * 10) / 10,
      hydrate_ms: store.hydrate?.ms ?? null,
      database_bytes: store.databaseBytes,
      wal_bytes: store.walBytes,
      last_snapshot_at: store.lastSnapshot?.at ?? null,
      last_snapshot_ms: store.lastSnapshot?.ms ?? null,
    },
    next_due_at: report.nextDueAt,
  };
}
