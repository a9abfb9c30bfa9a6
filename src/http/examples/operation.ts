/** Examples of the operations for whoever runs the server. */

import type { z } from '@hono/zod-openapi';
import type { HealthResponse } from '../health.ts';
import type { skillsSchema } from '../skills-json.ts';
import { type OperationExamples, unknownField } from './example.ts';

const healthy: HealthResponse = {
  status: 'ok',
  version: '2.0.0',
  commit: '1f2e3d4',
  build_time: '2026-01-30T12:00:00Z',
  max_execution_ms: 300_000,
  database: { ok: true, conversations: 12, tasks: 3 },
  volumes: { memory: true, skills: true, sessions: true, store: true },
  agent: {
    ok: true,
    version: '0.3.330',
    warm: 1,
    sandbox: 'on',
    processes: { idle: 2, in_runs: 1, starting: 0, waiting: 0, memory_bytes: 734_003_200 },
  },
  store: {
    durable: true,
    epoch: 41,
    last_sync_at: '2026-01-31T09:30:04.180Z',
    fault: null,
    owner: null,
    sync_ms: 3.1,
    hydrate_ms: 24,
    database_bytes: 1_048_576,
    wal_bytes: 86_520,
    last_snapshot_at: '2026-01-31T08:00:00.000Z',
    last_snapshot_ms: 18,
  },
  next_due_at: '2026-02-02T08:00:00.000Z',
};
const degraded: HealthResponse = {
  ...healthy,
  status: 'degraded',
  store: { ...healthy.store, durable: false, fault: 'the volume is full (ENOSPC)' },
};

const skills: z.output<typeof skillsSchema> = {
  builtIn: ['memory-notes'],
  org: ['scheduling'],
  user: ['invoices'],
  effective: ['invoices', 'memory-notes', 'scheduling'],
  warnings: [{ skill: 'drafts', message: 'SKILLS_DIR/drafts is skipped: it has no SKILL.md' }],
};

export const operationExamples: Record<string, OperationExamples> = {
  getHealth: {
    responses: {
      200: { ok: { summary: 'All is well', value: healthy } },
      503: { degraded: { summary: 'The volume is full', value: degraded } },
    },
    invalid: { query: 'verbose=1', errors: unknownField('verbose') },
  },
  listSkills: {
    responses: { 200: { skills: { summary: 'Skills of three sources', value: { skills } } } },
    invalid: { query: 'verbose=1', errors: unknownField('verbose') },
  },
  reloadSkills: {
    requests: { reload: { summary: 'It has no members', value: {} } },
    responses: { 200: { reloaded: { summary: 'Installed', value: { status: 'reloaded', skills } } } },
    invalid: { body: { force: true }, errors: unknownField('force') },
  },
  stop: {
    requests: { stop: { summary: 'With a reason', value: { reason: 'deploy of 2.1.0' } } },
    responses: {
      200: {
        stopping: {
          summary: 'The shutdown has begun',
          value: {
            status: 'stopping',
            reason: 'deploy of 2.1.0',
            message: 'The server takes no new work, lets runs under way end, and exits.',
          },
        },
      },
    },
    invalid: { body: { reason: '' }, errors: [{ path: 'reason', message: 'must not be empty; got ""' }] },
  },
  getOpenApi: {
    responses: {
      200: {
        document: {
          summary: 'Its beginning',
          value: { openapi: '3.1.0', info: { title: 'PicoClaw', version: '2.0.0' }, paths: {} },
        },
      },
    },
    invalid: { query: 'format=yaml', errors: unknownField('format') },
  },
};
