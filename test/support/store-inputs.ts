/** Inputs of the store with everything filled in that a test does not care about. */

import { noUsage } from '../../src/domain/run.ts';
import type { AfterRun, Task } from '../../src/domain/task.ts';
import type {
  AcceptedRun,
  AcceptRun,
  AskedInConversation,
  ClaimOutcome,
  ClaimTask,
  SettleRun,
  Store,
} from '../../src/store/store.ts';

/** A chat that was accepted, and what it asks. */
export type Accepted = Omit<AcceptedRun, 'ask'> & AskedInConversation;
export type Claimed = Extract<ClaimOutcome, { kind: 'accepted' }>;

let counter = 0;

/** Later than every one before, a second apart, so that order shows. */
export function tick(): string {
  return new Date(Date.UTC(2030, 0, 1) + ++counter * 1000).toISOString();
}

export function acceptInput(input: Partial<AcceptRun> & { text?: string } = {}): AcceptRun {
  const { text, ...rest } = input;
  const n = ++counter;
  return {
    runId: `run-${n}`,
    conversationId: null,
    newConversationId: `conv-${n}`,
    newSessionId: `session-${n}`,
    message: { id: `msg-${n}`, sender: 'ada', senderName: 'Ada', content: text ?? `question ${n}` },
    owner: 'instance-1',
    at: tick(),
    ...rest,
  };
}

export function settleInput(
  accepted: Pick<AcceptedRun, 'run' | 'sessionId'>,
  input: Partial<SettleRun> & { text?: string } = {},
): SettleRun {
  const { text, ...rest } = input;
  const n = ++counter;
  return {
    runId: accepted.run.id,
    fencingToken: accepted.run.fencingToken,
    status: 'success',
    reply: { id: `msg-${n}`, sender: 'Pico', senderName: 'Pico', content: text ?? `answer ${n}` },
    error: null,
    sessionId: accepted.sessionId,
    seen: true,
    model: 'claude-test',
    usage: noUsage,
    costUsd: 0,
    numTurns: 1,
    task: null,
    at: tick(),
    ...rest,
  };
}

export async function accept(store: Store, input: Parameters<typeof acceptInput>[0] = {}): Promise<Accepted> {
  const outcome = await store.acceptRun(acceptInput(input));
  if (outcome.kind !== 'accepted') throw new Error(`expected the run to be accepted, it is ${outcome.kind}`);
  const { run, sessionId, ask, claim } = outcome;
  return { run, sessionId, claim, ...ask };
}

/** One question and its answer; a conversation of its own unless one is named. */
export async function exchange(
  store: Store,
  input: { conversationId?: string | null; settle?: Parameters<typeof settleInput>[1] } = {},
): Promise<Accepted> {
  const accepted = await accept(store, { conversationId: input.conversationId ?? null });
  await store.settleRun(settleInput(accepted, input.settle));
  return accepted;
}

export async function contents(store: Store, conversationId: string): Promise<string[]> {
  const page = await store.listMessages(conversationId, { limit: 200, cursor: null });
  return page?.items.map((message) => message.content) ?? [];
}

export function taskInput(input: Partial<Task> = {}): Task {
  const n = ++counter;
  return {
    id: `task-${n}`,
    conversationId: null,
    prompt: `prompt ${n}`,
    scheduleType: 'interval',
    scheduleValue: '60000',
    contextMode: 'isolated',
    timezone: null,
    nextRun: firstSlot,
    lastRun: null,
    lastResult: null,
    lastStatus: null,
    status: 'active',
    createdAt: tick(),
    model: null,
    maxExecutionMs: null,
    maxAttempts: 3,
    attempts: 0,
    ...input,
  };
}

/** Before every `tick()`. */
export const firstSlot = '2029-12-31T00:00:00.000Z';
export const secondSlot = '2029-12-31T00:01:00.000Z';
/** After every `tick()`. */
export const leaseEnd = '2099-01-01T00:00:00.000Z';
export const afterLeaseEnd = '2099-01-01T00:00:00.001Z';

/** A conversation that it names is made when it is not there. */
export async function addTask(store: Store, input: Partial<Task> = {}): Promise<Task> {
  const outcome = await store.insertTask({ task: taskInput(input), createConversation: true, at: tick() });
  if (outcome.kind !== 'inserted') throw new Error(`expected the task to be inserted, it is ${outcome.kind}`);
  return outcome.task;
}

/** All that are due and can run. */
export function listDue(store: Store, at: string): Promise<Task[]> {
  return store.dueTasks({ at, limit: 1000, except: [] });
}

/** Of the task's slot, unless `slot` is null. */
export function claimInput(task: Pick<Task, 'id' | 'nextRun'>, input: Partial<ClaimTask> = {}): ClaimTask {
  const n = ++counter;
  return {
    taskId: task.id,
    slot: task.nextRun,
    runId: `run-${n}`,
    newSessionId: `session-${n}`,
    message: {
      id: `msg-${n}`,
      sender: 'scheduler',
      senderName: 'Scheduler',
      render: ({ task: { prompt } }) => `do: ${prompt}`,
    },
    owner: 'instance-1',
    at: tick(),
    leaseExpiresAt: leaseEnd,
    ...input,
  };
}

export async function claim(
  store: Store,
  task: Pick<Task, 'id' | 'nextRun'>,
  input: Partial<ClaimTask> = {},
): Promise<Claimed> {
  const outcome = await store.claimTask(claimInput(task, input));
  if (outcome.kind !== 'accepted') throw new Error(`expected the task to be claimed, it is ${outcome.kind}`);
  return outcome;
}

/** As the end of a task's run: the slot is used up, the next one is `secondSlot`. An isolated run stores no reply. */
export function settleTaskInput(
  { run, sessionId, claim: held }: Claimed,
  input: Parameters<typeof settleInput>[1] & { after?: Partial<AfterRun> | null } = {},
): SettleRun {
  const { after, ...rest } = input;
  const used: AfterRun = { nextRun: secondSlot, status: held.task.status, attempts: 0, fault: null };
  return settleInput(
    { run, sessionId },
    {
      ...(run.conversationId === null ? { reply: null } : {}),
      task: {
        result: `result of ${run.id}`,
        lastResult: `last result of ${run.id}`,
        after: after === null || held.slot === null ? null : { ...used, ...after, of: held.task },
      },
      ...rest,
    },
  );
}

/** A claim and its end. */
export async function runOnce(
  store: Store,
  task: Pick<Task, 'id' | 'nextRun'>,
  input: Partial<ClaimTask> = {},
): Promise<Claimed> {
  const claimed = await claim(store, task, input);
  await store.settleRun(settleTaskInput(claimed));
  return claimed;
}
