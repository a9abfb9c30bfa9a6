/** A task's lease over the real store, with timers that the test moves. */

import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Task } from '../../src/domain/task.ts';
import { keepLease, type LeaseDeps, leaseEnd } from '../../src/runs/lease.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store, TaskClaim } from '../../src/store/store.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const leaseMs = 30_000;
const start = '2026-06-01T00:00:00.000Z';
const at = (ms: number) => leaseEnd(start, ms);

let store: Store;
let claim: TaskClaim;
let deps: LeaseDeps;
const sync = vi.fn(async () => {});
let log: string[];

beforeEach(async () => {
  store = await createSqliteStore({ path: join(temporaryFolder(), 'messages.db') });
  onTestFinished(() => store.close());
  await store.insertTask({ task, createConversation: false, at: start });
  claim = await claimAt(start);
  sync.mockClear();
  log = [];
  deps = {
    store,
    volume: { sync },
    clock: { now: () => new Date().toISOString() },
    log: pino({}, { write: (line: string) => void log.push(line) }),
    leaseMs,
  };
  vi.useFakeTimers({ now: Date.parse(start), toFake: ['setInterval', 'clearInterval', 'Date'] });
});
afterEach(() => void vi.useRealTimers());

const task: Task = {
  id: 'watch',
  conversationId: null,
  prompt: 'Watch.',
  scheduleType: 'once',
  scheduleValue: '2026-01-01T00:00',
  contextMode: 'isolated',
  timezone: null,
  nextRun: '2026-01-01T00:00:00.000Z',
  lastRun: null,
  lastResult: null,
  lastStatus: null,
  status: 'active',
  createdAt: start,
  model: null,
  maxExecutionMs: null,
  maxAttempts: 3,
  attempts: 0,
};

async function claimAt(now: string, owner = 'here'): Promise<TaskClaim> {
  const claimed = await store.claimTask({
    taskId: task.id,
    slot: task.nextRun,
    runId: `run-${now}`,
    newSessionId: '8f1c4a52-3a0f-4f6e-9d3e-0d3a4d7f2b11',
    message: {
      id: `msg-${now}`,
      sender: 'scheduler',
      senderName: 'Scheduled task',
      render: ({ task: { prompt } }) => prompt,
    },
    owner,
    at: now,
    leaseExpiresAt: leaseEnd(now, leaseMs),
  });
  if (claimed.kind !== 'accepted') throw new Error(`not claimed: ${claimed.kind}`);
  return claimed.claim;
}

/** When the task could be claimed next. */
function leaseExpiresAt(): Promise<string | null> {
  return store.nextDueAt({ at: at(0), heldUpUntil: at(0) });
}

async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
  // The renewal itself works on the real database, in turns of the real event loop.
  for (let turns = 0; turns < 50; turns += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('the lease of a task', () => {
  it('is renewed, and the renewal synced, as long as the run works', async () => {
    const lost = vi.fn();
    const lease = keepLease(deps, claim, lost);
    expect(await leaseExpiresAt()).toBe(at(leaseMs));
    await pass(10_000);
    expect(await leaseExpiresAt()).toBe(at(10_000 + leaseMs));
    expect(sync).toHaveBeenCalledTimes(1);
    await pass(10_000);
    expect(await leaseExpiresAt()).toBe(at(20_000 + leaseMs));
    lease.stop();
    await pass(60_000);
    expect(await leaseExpiresAt(), 'after its end').toBe(at(20_000 + leaseMs));
    expect(lost).not.toHaveBeenCalled();
  });

  it('that another instance took after it had expired is not taken back: the run is told', async () => {
    const lost = vi.fn();
    const lease = keepLease(deps, claim, lost);
    // Frozen beyond its lease; another instance found the run and took the slot.
    await store.recoverRuns({ owner: 'there', at: at(leaseMs) });
    await claimAt(at(leaseMs + 1), 'there');
    await pass(10_000);
    expect(lost).toHaveBeenCalled();
    expect(await leaseExpiresAt()).toBe(at(leaseMs + 1 + leaseMs));
    lease.stop();
  });

  it('of a task that was deleted during the run is nobody else’s: the run goes on', async () => {
    const lost = vi.fn();
    const lease = keepLease(deps, claim, lost);
    await store.deleteTask(task.id);
    await pass(20_000);
    expect(lost).not.toHaveBeenCalled();
    lease.stop();
  });

  it('that cannot be written is tried again at the next turn, and the log says so', async () => {
    const lost = vi.fn();
    const full = new Error('disk full');
    let isFull = true;
    deps.volume.sync = async () => {
      if (isFull) throw full;
    };
    const lease = keepLease(deps, claim, lost);
    await pass(10_000);
    expect(log.join()).toContain('could not be renewed');
    isFull = false;
    await pass(10_000);
    expect(await leaseExpiresAt()).toBe(at(20_000 + leaseMs));
    expect(lost).not.toHaveBeenCalled();
    lease.stop();
  });
});
