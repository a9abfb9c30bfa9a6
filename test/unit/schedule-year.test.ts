/**
 * A simulated year: random tasks, woken at random times by the real operations over the real SQLite, with an agent that
 * answers at once and a clock that the test moves, also while a run works.
 *
 * Each slot runs at most once and none runs early; a check leaves nothing due; what was missed is made up for by one run.
 */

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { AgentEvent, AgentRequest, AgentResult } from '../../src/agent/agent.ts';
import { nextSlot } from '../../src/domain/schedule.ts';
import { scheduleOf, type Task } from '../../src/domain/task.ts';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import { type CheckResult, checkTasks } from '../../src/tasks/check.ts';
import { createTask } from '../../src/tasks/create.ts';
import { listTaskRuns, requireTask } from '../../src/tasks/read.ts';
import { updateTask } from '../../src/tasks/update.ts';
import { ScriptedAgent } from '../support/http-agent.ts';
import { makeClock, type SetClock } from '../support/http-clock.ts';
import { type InstanceDeps, makeInstance } from '../support/http-instance.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const seed = 20_260_101;
const parameters = { seed } as const;

const begin = Date.parse('2026-01-01T00:00:00.000Z');
const yearMs = 365 * 86_400_000;

const timezone = fc.constantFrom('UTC', 'America/New_York', 'Europe/Berlin', 'Asia/Kolkata', 'Australia/Lord_Howe');
const schedule = fc.oneof(
  fc.integer({ min: 1000, max: 10 ** 7 }).map((ms) => ({ scheduleType: 'interval' as const, scheduleValue: `${ms}` })),
  fc
    .integer({ min: 10 ** 7, max: 10 ** 10 })
    .map((ms) => ({ scheduleType: 'interval' as const, scheduleValue: `${ms}` })),
  fc
    .tuple(
      fc.constantFrom('0', '30', '*/15', '*'),
      fc.constantFrom('2', '1-3', '*/6', '*', '9'),
      fc.constantFrom('* * *', '* * SUN', '1,15 * *', 'L 3,10 *'),
    )
    .map((fields) => ({ scheduleType: 'cron' as const, scheduleValue: fields.join(' ') })),
  fc.integer({ min: -(10 ** 9), max: yearMs }).map((ms) => ({
    scheduleType: 'once' as const,
    scheduleValue: new Date(begin + ms).toISOString().slice(0, 19),
  })),
);
const tasks = fc.array(fc.tuple(schedule, timezone), { minLength: 1, maxLength: 4 });

/** A time in the year; how many checks come at once, and how long a run works that they begin. */
const wake = fc.record({
  // In the year, or in the hours in which clocks change.
  ms: fc.oneof(
    fc.integer({ min: 0, max: yearMs }),
    fc
      .constantFrom('2026-03-08T07:00Z', '2026-11-01T06:00Z', '2026-10-25T01:00Z', '2026-03-29T01:00Z')
      .chain((change) => fc.integer({ min: -7_200_000, max: 7_200_000 }).map((ms) => Date.parse(change) + ms - begin)),
  ),
  checks: fc.integer({ min: 1, max: 3 }),
  worksMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 10 ** 7 })),
  pauses: fc.boolean(),
});
const wakes = fc.array(wake, { minLength: 10, maxLength: 40 }).map((list) => list.toSorted((a, b) => a.ms - b.ms));

class BusyAgent extends ScriptedAgent {
  readonly #clock: SetClock;
  worksMs = 0;

  constructor(clock: SetClock) {
    super();
    this.#clock = clock;
  }

  override run(request: AgentRequest, onEvent: (event: AgentEvent) => void): Promise<AgentResult> {
    this.#clock.advance({ ms: this.worksMs });
    return super.run(request, onEvent);
  }
}

/** The runtime database alone. */
const noVolume: Pick<InstanceDeps, 'volume' | 'useStore' | 'hold'> = {
  volume: {
    status: () => {
      throw new Error('nobody asks for its health');
    },
    sync: async () => undefined,
    useIfOurs: async () => true,
  },
  useStore: (_, work) => work(),
  hold: () => async () => undefined,
};

async function startYear(folder: string) {
  const clock = makeClock(new Date(begin).toISOString());
  const agent = new BusyAgent(clock);
  const store = await createSqliteStore({ path: join(folder, `${randomUUID()}.db`) });
  const instance = makeInstance({ agent, store, ...noVolume, clock, log: pino({ level: 'silent' }) }, {});
  return {
    clock,
    agent,
    deps: instance.operations,
    async [Symbol.asyncDispose]() {
      await instance.runs.stop({ graceMs: 0 });
      await store.close();
    },
  };
}

describe(`a year of tasks (seed ${seed})`, () => {
  it('runs each slot at most once and none early, leaves nothing due, and makes up for what was missed by one run', async () => {
    const folder = temporaryFolder();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(tasks, wakes, async (schedules, times) => {
        await using year = await startYear(folder);
        const { clock, deps, agent } = year;
        for (const [fields, zone] of schedules)
          await createTask(deps, { prompt: 'x', ...fields, timezone: zone, createConversation: false });
        for (const { ms, checks, worksMs, pauses } of times) {
          // Runs that work long may have taken the clock past this time.
          if (begin + ms > Date.parse(clock.now())) clock.set(new Date(begin + ms).toISOString());
          agent.worksMs = worksMs;
          const due = await deps.store.dueTasks({ at: clock.now(), limit: 1_000, except: [] });
          const results = await Promise.all(Array.from({ length: checks }, () => checkTasks(deps, { max: 100 })));
          runs += expectRunOnce(results, due);
          if (pauses) await pauseAndResume(year, ms);
        }
        for (const task of (await deps.store.listTasks({ limit: 200, cursor: null })).items)
          await expectLog(deps, task);
      }),
      { ...parameters, numRuns: 60 },
    );
    // Or nothing of this was looked at.
    expect(runs).toBeGreaterThan(1000);
  });
});

type Year = Awaited<ReturnType<typeof startYear>>;

/** Each task that was due was run by one of the checks, or, where a run made another due meanwhile, that one as well. */
function expectRunOnce(results: CheckResult[], due: Task[]): number {
  const ran = results.flatMap((result) => result.ran.map(({ taskId, slot }) => `${taskId} ${slot}`));
  expect(new Set(ran).size).toBe(ran.length);
  expect(ran).toEqual(expect.arrayContaining(due.map(({ id, nextRun }) => `${id} ${nextRun}`)));
  return ran.length;
}

/** A task that sleeps through some of its slots owes one run for them at most. */
async function pauseAndResume({ deps, clock }: Year, ms: number): Promise<void> {
  const [task] = (await deps.store.listTasks({ limit: 1, cursor: null })).items;
  if (task === undefined || task.status !== 'active') return;
  await updateTask(deps, { id: task.id, changes: { status: 'paused' } });
  clock.advance({ ms: ms % 10 ** 8 });
  expect((await checkTasks(deps, { max: 100 })).ran.map(({ taskId }) => taskId)).not.toContain(task.id);
  const resumed = await updateTask(deps, { id: task.id, changes: { status: 'active' } });
  if (task.scheduleType !== 'once') expect(String(resumed.nextRun) > clock.now()).toBe(true);
}

async function expectLog(deps: Year['deps'], task: Task): Promise<void> {
  const log = (await listTaskRuns(deps, task.id, { limit: 200, cursor: null })).items.toReversed();
  const slots = log.map(({ slot }) => String(slot));
  expect(slots).toEqual([...new Set(slots)].toSorted());
  let [slotBefore, before] = [task.createdAt, task.createdAt];
  for (const { slot, startedAt, endedAt, attempt, status } of log) {
    if (slot === null) throw new Error('nobody triggered anything');
    expect({ attempt, status }).toEqual({ attempt: 1, status: 'success' });
    expect(slot <= startedAt).toBe(true);
    if (task.scheduleType === 'once') expect(log).toHaveLength(1);
    else {
      // A slot of the schedule: whoever asks just before is told of it.
      const justBefore = new Date(Date.parse(slot) - 1).toISOString();
      expect(nextSlot(scheduleOf(task, 'UTC'), { slot: slotBefore, now: justBefore })).toEqual({
        kind: 'slot',
        at: slot,
      });
      expect(slot > before).toBe(true);
    }
    [slotBefore, before] = [slot, String(endedAt)];
  }
  const { nextRun, status } = await requireTask(deps, task.id);
  if (task.scheduleType === 'once')
    expect([nextRun, status]).toEqual(log.length === 0 ? [task.nextRun, 'active'] : [null, 'completed']);
  else expect(String(nextRun) > before).toBe(true);
}
