import { describe, expect, it } from 'vitest';
import type { HealthReport } from '../../src/http/health.ts';
import { expectProblem, faultsOf, startApp } from '../support/http-app.ts';
import { makeClock } from '../support/http-clock.ts';
import { makeTask, minutely } from '../support/http-tasks.ts';

const healthy: HealthReport = {
  database: { ok: true, conversations: 3, tasks: 1 },
  volumes: { memory: true, skills: true, sessions: true, store: true },
  agent: {
    ok: true,
    version: '1.2.3',
    warm: 2,
    sandbox: 'on',
    processes: { idle: 3, inRuns: 1, starting: 0, waiting: 0, memoryBytes: 500_000_000 },
  },
  store: {
    durable: true,
    epoch: 7,
    lastSyncAt: '2026-01-31T09:30:00.000Z',
    fault: null,
    owner: null,
    syncMs: 1.2345,
    hydrate: { ms: 61, bytes: 1_000_000 },
    databaseBytes: 1_003_520,
    walBytes: 8_272,
    lastSnapshot: { at: '2026-01-31T09:29:00.000Z', ms: 120 },
  },
  nextDueAt: '2026-02-01T08:00:00.000Z',
};

describe('GET /health', () => {
  it('answers with every member of the contract', async () => {
    await using app = await startApp({ health: async () => healthy });
    const { status, body } = await app.send('/health');
    expect(status).toBe(200);
    expect(body).toEqual({
      status: 'ok',
      version: '2.0.0-test',
      commit: 'abc1234',
      build_time: '2026-01-31T09:30:00Z',
      max_execution_ms: 60_000,
      database: { ok: true, conversations: 3, tasks: 1 },
      volumes: { memory: true, skills: true, sessions: true, store: true },
      agent: {
        ok: true,
        version: '1.2.3',
        warm: 2,
        sandbox: 'on',
        processes: { idle: 3, in_runs: 1, starting: 0, waiting: 0, memory_bytes: 500_000_000 },
      },
      store: {
        durable: true,
        epoch: 7,
        last_sync_at: '2026-01-31T09:30:00.000Z',
        fault: null,
        owner: null,
        sync_ms: 1.2,
        hydrate_ms: 61,
        database_bytes: 1_003_520,
        wal_bytes: 8_272,
        last_snapshot_at: '2026-01-31T09:29:00.000Z',
        last_snapshot_ms: 120,
      },
      next_due_at: '2026-02-01T08:00:00.000Z',
    });
  });

  it.each<[string, HealthReport]>([
    ['the database cannot be read', { ...healthy, database: { ok: false, conversations: 0, tasks: 0 } }],
    ['MEMORY_DIR cannot be written', { ...healthy, volumes: { ...healthy.volumes, memory: false } }],
    ['.claude cannot be written', { ...healthy, volumes: { ...healthy.volumes, sessions: false } }],
    ['STORE_DIR cannot be written', { ...healthy, volumes: { ...healthy.volumes, store: false } }],
    ['the agent cannot run', { ...healthy, agent: { ...healthy.agent, ok: false } }],
    ['the last sync failed', { ...healthy, store: { ...healthy.store, durable: false } }],
  ])('is degraded with 503 when %s', async (_, report) => {
    await using app = await startApp({ health: async () => report });
    const { status, body, headers } = await app.send('/health');
    expect(status).toBe(503);
    expect(body.status).toBe('degraded');
    expect(headers.get('retry-after')).toBe('5');
  });

  it('is degraded while the server is shutting down', async () => {
    await using app = await startApp({ health: async () => healthy, stopping: () => true });
    expect(await app.send('/health')).toMatchObject({ status: 503, body: { status: 'degraded' } });
  });

  it('is ok without skills, which need not be there', async () => {
    await using app = await startApp({
      health: async () => ({ ...healthy, volumes: { ...healthy.volumes, skills: false } }),
    });
    expect(await app.send('/health')).toMatchObject({ status: 200, body: { volumes: { skills: false } } });
  });

  it('tells of a failed sync until one succeeds, and touches nothing on the volume itself', async () => {
    await using app = await startApp();
    await app.post('/chat', { message: 'x' });
    const synced = await app.send('/health');
    expect(synced).toMatchObject({ status: 200, body: { database: { conversations: 1 }, store: { durable: true } } });
    app.breakVolume();
    expect((await app.send('/health')).body.store).toEqual(synced.body.store);
    await app.post('/chat', { message: 'x' });
    expect(await app.send('/health')).toMatchObject({
      status: 503,
      body: { store: { durable: false, fault: expect.any(String) } },
    });
    app.repairVolume();
    await app.post('/chat', { message: 'x' });
    expect(await app.send('/health')).toMatchObject({
      status: 200,
      body: { store: { durable: true, fault: null } },
    });
  });

  it('tells that a volume is back though nobody has asked for anything', async () => {
    await using app = await startApp();
    app.breakVolumeAtSync();
    expectProblem(await app.post('/chat', { message: 'x' }), 503, 'not_durable');
    app.repairVolume();
    await expect.poll(async () => (await app.send('/health')).status).toBe(200);
  });

  it('reports a database that cannot be read instead of failing', async () => {
    await using app = await startApp();
    app.sql('DROP TABLE scheduled_tasks');
    expect(await app.send('/health')).toMatchObject({
      status: 503,
      body: { status: 'degraded', database: { ok: false, conversations: 0, tasks: 0 }, next_due_at: null },
    });
  });

  it('tells when a task is due next, without touching the volume', async () => {
    await using app = await startApp({ clock: makeClock() });
    expect((await app.send('/health')).body.next_due_at).toBeNull();
    await makeTask(app, minutely);
    await makeTask(app, { ...minutely, schedule_value: '30000' });
    app.breakVolume();
    expect(await app.send('/health')).toMatchObject({
      status: 200,
      body: { database: { tasks: 2 }, next_due_at: '2026-03-02T12:00:30.000Z' },
    });
  });
});

describe('POST /control/stop', () => {
  it('answers, then asks for a stop with the reason', async () => {
    await using app = await startApp();
    const { status, body } = await app.post('/control/stop', { reason: 'deploy' });
    expect(status).toBe(200);
    expect(body).toEqual({ status: 'stopping', reason: 'deploy', message: expect.any(String) });
    expect(app.stopReasons).toEqual(['deploy']);
  });

  it('needs neither a body nor a reason', async () => {
    await using app = await startApp();
    for (const init of [{}, { body: '{}', headers: { 'content-type': 'application/json' } }])
      expect(await app.send('/control/stop', { method: 'POST', ...init })).toMatchObject({
        status: 200,
        body: { status: 'stopping', reason: 'api-stop' },
      });
    expect(app.stopReasons).toEqual([null, null]);
  });

  it.each([
    ['a reason that is a number', { reason: 1 }, { reason: 'must be a string; got 1' }],
    ['an empty reason', { reason: '' }, { reason: 'must not be empty; got ""' }],
    ['an unknown field', { force: true }, { force: 'is not a known field' }],
  ])('with %s is a 400 and stops nothing', async (_, body, faults) => {
    await using app = await startApp();
    const answer = await app.post('/control/stop', body);
    expectProblem(answer, 400, 'invalid_request');
    expect(faultsOf(answer.body)).toEqual(faults);
    expect(app.stopReasons).toEqual([]);
  });
});
