/** Which processes are started and when, counted, with stand-ins for the processes: spares that die, and those that make way. */

import { pino } from 'pino';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { LiveProcess, Wanted } from '../../src/agent/live-process.ts';
import { Processes } from '../../src/agent/processes.ts';
import { makeStartSlots } from '../../src/agent/start-slots.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Longer than any spare waits to be made. */
const longMs = 10_000;

test('spares that die one after another are not replaced before the next conversation', async () => {
  const { processes, started } = makeProcesses({ spares: 1 });
  await processes.keepSpares();
  await vi.advanceTimersByTimeAsync(longMs);
  started[0]?.die();
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started).toHaveLength(2);

  started[1]?.die();
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started).toHaveLength(2);
  processes.newSessionId();
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started).toHaveLength(3);
  await processes.stop();
});

test('a spare that dies long after the one before is replaced', async () => {
  const { processes, started } = makeProcesses({ spares: 1 });
  await processes.keepSpares();
  for (const count of [1, 2, 3]) {
    await vi.advanceTimersByTimeAsync(10 * 60_000);
    expect(started).toHaveLength(count);
    started.at(-1)?.die();
  }
  await processes.stop();
});

test('a spare whose wishes are still being read is not started beside a run’s process', async () => {
  const reading = Promise.withResolvers<void>();
  const ready = Promise.withResolvers<boolean>();
  const { processes, started } = makeProcesses({ spares: 1 }, { reading: reading.promise, ready: () => ready.promise });
  const kept = processes.keepSpares();
  const taken = processes.take(wantedFor('a run'), new AbortController().signal);
  await vi.advanceTimersByTimeAsync(longMs);
  reading.resolve();
  await kept;
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started.map(({ sessionId }) => sessionId)).toEqual(['a run']);

  ready.resolve(true);
  expect(await taken).toMatchObject({ kind: 'taken' });
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started).toHaveLength(2);
  await processes.stop();
});

test('a spare that begins while a run waits for room makes way for it', async () => {
  const [reading, ending, ready] = [0, 1, 2].map(() => Promise.withResolvers<void>());
  const { processes, started } = makeProcesses(
    { spares: 1, maxProcesses: 2 },
    {
      reading: reading?.promise,
      ending: ending?.promise,
      ready: (count) => (count === 1 ? Promise.resolve(true) : ready?.promise.then(() => true)),
    },
  );
  const signal = new AbortController().signal;
  const first = await processes.take(wantedFor('idle'), signal);
  if (first.kind === 'taken') await processes.giveBack(first.live);
  const kept = processes.keepSpares();
  const taken = processes.take(wantedFor('a run'), signal);
  await vi.advanceTimersByTimeAsync(1);
  reading?.resolve();
  await kept;
  expect(started).toHaveLength(2);
  ending?.resolve();
  await vi.advanceTimersByTimeAsync(1);
  expect(started.at(-1)?.sessionId).toBe('a run');
  expect(processes.counts()).toMatchObject({ starting: 1, spares: 0 });
  ready?.resolve();
  expect(await taken).toMatchObject({ kind: 'taken' });
  await processes.stop();
});

test('spares rehearse until a run asks for another model than theirs', async () => {
  const { processes, started } = makeProcesses({ spares: 1 });
  await processes.keepSpares();
  await vi.advanceTimersByTimeAsync(longMs);
  const signal = new AbortController().signal;
  await processes.take(wantedFor(processes.newSessionId()), signal);
  await vi.advanceTimersByTimeAsync(longMs);
  await processes.take(wantedFor(processes.newSessionId(), 'another'), signal);
  await vi.advanceTimersByTimeAsync(longMs);
  expect(started.map(({ rehearsals }) => rehearsals)).toEqual([1, 1, 0]);
  await processes.stop();
});

test('a run that is aborted while its spare is still starting does not wait for it', async () => {
  const { processes, started } = makeProcesses({ spares: 1 }, { ready: () => new Promise(() => undefined) });
  await processes.keepSpares();
  const aborting = new AbortController();
  const taken = processes.take(wantedFor(processes.newSessionId()), aborting.signal);
  await vi.advanceTimersByTimeAsync(1);
  aborting.abort();
  await vi.advanceTimersByTimeAsync(longMs / 100);
  expect(await Promise.race([taken, 'it waits'])).toEqual({ kind: 'aborted' });
  expect(started).toHaveLength(1);
  await processes.stop();
});

type Started = { sessionId: string; rehearsals: number; die: () => void };

type Behaviour = {
  /** What a spare is started for is known when this resolves. */
  reading?: Promise<void> | undefined;
  /** Of the process that is started as the n-th, from 1. */
  ready?: (count: number) => Promise<boolean> | undefined;
  /** Each takes as long as this to end. */
  ending?: Promise<void> | undefined;
};

function makeProcesses(
  limits: { spares: number; maxProcesses?: number },
  { reading, ready, ending }: Behaviour = {},
): { processes: Processes; started: Started[] } {
  const started: Started[] = [];
  const processes = new Processes({
    limits: { maxProcesses: 4, ...limits, conversations: 4, idleMs: 10 * longMs, promiseMs: longMs / 10 },
    slots: makeStartSlots(2),
    wantedBySpare: async (sessionId) => {
      await reading;
      return wantedFor(sessionId);
    },
    start: async ({ session }) => {
      const over = Promise.withResolvers<void>();
      const one: Started = { sessionId: session.id, rehearsals: 0, die: over.resolve };
      started.push(one);
      const rehearse = async () => {
        one.rehearsals += 1;
      };
      return standIn({ sessionId: session.id, over, ready: ready?.(started.length), ending, rehearse });
    },
    log: pino({ level: 'silent' }),
  });
  return { processes, started };
}

/** As much of a process as `Processes` asks of it. */
function standIn({
  sessionId,
  over,
  ready = Promise.resolve(true),
  ending,
  rehearse,
}: {
  sessionId: string;
  over: PromiseWithResolvers<void>;
  ready: Promise<boolean> | undefined;
  ending: Promise<void> | undefined;
  rehearse: () => Promise<void>;
}): LiveProcess {
  const killed = Promise.withResolvers<boolean>();
  const kill = () => killed.resolve(false);
  const process = {
    ...{ pid: null, complaints: '', over: over.promise, rehearse, kill },
    ready: Promise.race([ready, killed.promise]),
  };
  const end = async () => {
    await ending;
    over.resolve();
  };
  return { sessionId, process, end, isReusable: true, fits: async () => true } as unknown as LiveProcess;
}

function wantedFor(id: string, model: string | null = null): Wanted {
  return { session: { id }, spec: { once: false, model } } as Wanted;
}
