/**
 * What GET /health says. It reads counters and states that are in memory or in the runtime database: the volume's data is
 * never touched, nothing is synced. A start waits for what is imported here (early-health.ts), and not for its schema.
 */

import type { z } from '@hono/zod-openapi';
import { Problem } from '../domain/problem.ts';
import type { Log } from '../lib/log.ts';
import type { healthResponse } from './health-json.ts';

export type HealthReport = {
  /** The runtime database; the counts are 0 when it cannot be read. */
  database: { ok: boolean; conversations: number; tasks: number };
  volumes: VolumeHealth;
  agent: AgentHealth;
  store: StoreHealth;
  /** When a check may next find a task to run; null when never, and when the database cannot be read. */
  nextDueAt: string | null;
};

/** As the agent says it (agent/agent.ts). */
export type AgentHealth = {
  ok: boolean;
  version: string;
  warm: number;
  sandbox: 'on' | 'off' | null;
  processes: { idle: number; inRuns: number; starting: number; waiting: number; memoryBytes: number | null };
};

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

export type HealthResponse = z.output<typeof healthResponse>;

export type HealthAnswerDeps = {
  health(): Promise<HealthReport>;
  /** Whether a shutdown has begun. */
  stopping(): boolean;
  settings: HealthSettings;
};

export type HealthSettings = { version: string; commit: string; buildTime: string; maxExecutionMs: number };

export type HealthAnswer = { status: 200 | 503; headers: Record<string, string>; body: HealthResponse };

const retryAfterS = 5;

export async function answerHealth({ health, stopping, settings }: HealthAnswerDeps): Promise<HealthAnswer> {
  const body = toHealthResponse(await health(), { settings, stopping: stopping() });
  return body.status === 'ok'
    ? { status: 200, headers: {}, body }
    : { status: 503, headers: { 'Retry-After': String(retryAfterS) }, body };
}

function toHealthResponse(
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
    agent: {
      ok: agent.ok,
      version: agent.version,
      warm: agent.warm,
      sandbox: agent.sandbox,
      processes: {
        idle: agent.processes.idle,
        in_runs: agent.processes.inRuns,
        starting: agent.processes.starting,
        waiting: agent.processes.waiting,
        memory_bytes: agent.processes.memoryBytes,
      },
    },
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
