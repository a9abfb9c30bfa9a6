/** Any order of calls on two tasks of one conversation: after each, the store says what a model of a few lines says. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunStatus } from '../../src/domain/run.ts';
import type { ContextMode, TaskStatus } from '../../src/domain/task.ts';
import type { Store } from '../../src/store/store.ts';
import { addTask, type Claimed, claimInput, listDue, settleTaskInput, tick } from '../support/store-inputs.ts';
import type { OpenStore, StoreUnderTest } from './store-contract.ts';

type Step = { which: 0 | 1 } & (
  | { act: 'claim'; trigger: boolean; owner: string }
  /** `late`: by a run that holds the task no longer. */
  | { act: 'settle'; again: boolean; ends: boolean; late: boolean }
  | { act: 'withdraw'; late: boolean }
  | { act: 'recover'; owner: string }
  | { act: 'pause' }
  | { act: 'resume' }
  | { act: 'reschedule' }
  | { act: 'pass' }
);

type ModelTask = {
  id: string;
  contextMode: ContextMode;
  status: TaskStatus;
  nextRun: string | null;
  attempts: number;
  lastStatus: RunStatus | null;
  token: number;
  leasedUntil: number;
  held: { claimed: Claimed; owner: string } | null;
  ended: Claimed | null;
  log: string[];
};

type Model = { now: number; slots: number; tasks: [ModelTask, ModelTask] };

const owner = fc.constantFrom('instance-1', 'instance-2');
const late = fc.boolean();
const act = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ act: fc.constant('claim' as const), trigger: fc.boolean(), owner }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ act: fc.constant('settle' as const), again: fc.boolean(), ends: fc.boolean(), late }),
  },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('withdraw' as const), late }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('recover' as const), owner }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constantFrom('pause', 'resume', 'reschedule') }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constant('pass' as const) }) },
);
const step: fc.Arbitrary<Step> = fc
  .tuple(act, fc.constantFrom(0 as const, 1 as const))
  .map(([chosen, which]) => ({ ...chosen, which }));

/** Slots, leases and the time that passes are small numbers: only their order matters. */
const time = (ms: number) => new Date(Date.UTC(2040, 0, 1) + ms).toISOString();
const leaseMs = 2;

export function storeTaskModel(open: OpenStore): void {
  describe('any order of calls on tasks', () => {
    it.each<[ContextMode, ContextMode]>([
      ['isolated', 'isolated'],
      ['group', 'group'],
      ['isolated', 'group'],
    ])('keeps claims, schedules and run logs in step: %s and %s', async (first, second) => {
      const opened = await open();
      const history = fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const model = await begin(opened.store, [first, second]);
        for (const next of steps) {
          await apply(opened.store, model, next);
          for (const task of model.tasks) await compare(opened, model, task);
          await compareNextTime(opened.store, model);
        }
        for (const task of model.tasks) await opened.store.deleteTask(task.id);
      });
      await fc.assert(history, { numRuns: 40 });
    });
  });
}

async function begin(store: Store, [first, second]: [ContextMode, ContextMode]): Promise<Model> {
  const conversationId = `conv-${tick()}`;
  const make = async (contextMode: ContextMode, slot: number): Promise<ModelTask> => {
    const { id } = await addTask(store, { contextMode, conversationId, nextRun: time(slot) });
    const task = { id, contextMode, status: 'active', nextRun: time(slot), attempts: 0, lastStatus: null } as const;
    return { ...task, token: 0, leasedUntil: 0, held: null, ended: null, log: [] };
  };
  return { now: 0, slots: 2, tasks: [await make(first, 0), await make(second, 1)] };
}

async function apply(store: Store, model: Model, next: Step): Promise<void> {
  const task = model.tasks[next.which];
  switch (next.act) {
    case 'claim':
      return applyClaim(store, model, task, next);
    case 'settle':
      return applySettle(store, model, task, next);
    case 'withdraw':
      return applyWithdraw(store, task, next.late);
    case 'recover':
      await store.recoverRuns({ owner: next.owner, at: time(model.now) });
      for (const each of model.tasks) if (each.held !== null && each.held.owner !== next.owner) interrupt(each);
      return;
    case 'pause':
    case 'resume':
      task.status = next.act === 'pause' ? 'paused' : 'active';
      await store.updateTask({ id: task.id, at: tick(), change: (now) => ({ ...now, status: task.status }) });
      return;
    case 'reschedule': {
      const changed = { nextRun: time(model.slots++), attempts: 0 };
      Object.assign(task, changed);
      await store.updateTask({ id: task.id, at: tick(), change: (now) => ({ ...now, ...changed }) });
      return;
    }
    case 'pass':
      model.now += 1;
      return;
    default:
      next satisfies never;
  }
}

async function applyClaim(
  store: Store,
  model: Model,
  task: ModelTask,
  next: { trigger: boolean; owner: string },
): Promise<void> {
  const slot = next.trigger ? null : (task.nextRun ?? time(0));
  const input = claimInput(task, {
    slot,
    owner: next.owner,
    at: time(model.now),
    leaseExpiresAt: time(model.now + leaseMs),
  });
  const outcome = await store.claimTask(input);
  expect(outcome.kind).toBe(expectedKind(model, task, slot));
  if (outcome.kind !== 'accepted') return;
  if (slot !== null) task.attempts += 1;
  expect(outcome.claim).toMatchObject({ fencingToken: ++task.token, attempt: slot === null ? 1 : task.attempts });
  task.leasedUntil = model.now + leaseMs;
  task.held = { claimed: outcome, owner: next.owner };
  task.log.unshift(outcome.run.id);
}

function expectedKind(model: Model, task: ModelTask, slot: string | null): string {
  if (task.held !== null || task.leasedUntil > model.now) return 'task_busy';
  if (slot !== null && (task.status !== 'active' || task.nextRun !== slot)) return 'not_due';
  return task.contextMode === 'group' && isPlaceTaken(model) ? 'conversation_busy' : 'accepted';
}

function isPlaceTaken(model: Model): boolean {
  return model.tasks.some(({ contextMode, held }) => contextMode === 'group' && held !== null);
}

async function applySettle(
  store: Store,
  model: Model,
  task: ModelTask,
  next: { again: boolean; ends: boolean; late: boolean },
): Promise<void> {
  const claimed = caller(task, next.late);
  if (claimed === null) return;
  const { slot, attempt } = claimed.claim;
  const nextRun = next.ends ? null : next.again ? slot : time(model.slots++);
  const after = { nextRun, status: next.ends ? ('completed' as const) : ('active' as const), fault: null };
  const attempts = next.again && !next.ends ? attempt : 0;
  const outcome = await store.settleRun(settleTaskInput(claimed, { after: { ...after, attempts } }));
  expect(outcome.kind).toBe(claimed === task.held?.claimed ? 'settled' : 'lost');
  if (outcome.kind === 'lost') return;
  Object.assign(task, { leasedUntil: 0, held: null, ended: claimed, lastStatus: 'success' });
  if (slot === null || task.nextRun !== slot) return;
  Object.assign(task, { nextRun, attempts }, next.ends ? { status: 'completed' } : {});
}

async function applyWithdraw(store: Store, task: ModelTask, isLate: boolean): Promise<void> {
  const claimed = caller(task, isLate);
  if (claimed === null) return;
  await store.withdrawRun(claimed.run.id, claimed.run.fencingToken);
  if (claimed !== task.held?.claimed) return;
  const { slot, attempt } = claimed.claim;
  if (slot !== null && task.nextRun === slot && task.attempts === attempt) task.attempts -= 1;
  Object.assign(task, { leasedUntil: 0, held: null, ended: claimed });
  task.log.shift();
}

/** Its lease stays. */
function interrupt(task: ModelTask): void {
  Object.assign(task, { ended: task.held?.claimed, held: null, lastStatus: 'interrupted' });
}

function caller(task: ModelTask, isLate: boolean): Claimed | null {
  return isLate ? task.ended : (task.held?.claimed ?? task.ended);
}

async function compare({ store }: StoreUnderTest, model: Model, task: ModelTask): Promise<void> {
  const { id, status, nextRun, attempts, lastStatus } = task;
  expect(await store.getTask(id)).toMatchObject({ status, nextRun, attempts, lastStatus });
  const log = await store.listTaskRuns(id, { limit: 100, cursor: null });
  expect(log?.items.map((run) => run.id)).toEqual(task.log);
  const running = log?.items.filter((run) => run.status === 'running').map((run) => run.id);
  expect(running).toEqual(task.held === null ? [] : [task.held.claimed.run.id]);
  const isFree = task.held === null && task.leasedUntil <= model.now;
  const isDue = isFree && status === 'active' && nextRun !== null && nextRun <= time(model.now);
  const isHeldUp = task.contextMode === 'group' && isPlaceTaken(model);
  const due = await listDue(store, time(model.now));
  expect(due.some((each) => each.id === id)).toBe(isDue && !isHeldUp);
}

/** Whoever looks at the time that he is told finds a task, unless one is still at work. */
async function compareNextTime(store: Store, model: Model): Promise<void> {
  const now = time(model.now);
  const next = await store.nextDueAt({ at: now, heldUpUntil: time(model.now + 1) });
  expect(next !== null && next <= now).toBe((await listDue(store, now)).length > 0);
  if (next === null || model.tasks.some(({ held }) => held !== null)) return;
  expect(await listDue(store, next > now ? next : now)).not.toEqual([]);
}
