/** Several instances on one volume: one works at a time, each sees what was acknowledged before, none overwrites. */

import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { watchFs } from '../support/fs-faults.ts';
import { exchange } from '../support/store-inputs.ts';
import {
  batonOf,
  conversationsOn,
  foldersOf,
  forceSnapshot,
  generationOf,
  listConversations,
  type Machine,
  makeDeadInstance,
  makeInstance,
  makePlace,
  onVolume,
  startMachine,
} from '../support/volume-place.ts';

/** At work until it is told to end. */
function occupy({ access }: Machine): { isIn: Promise<void>; end: () => void; done: Promise<void> } {
  const [isIn, ending] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  onTestFinished(() => ending.resolve());
  const done = access.use('writes', async () => {
    isIn.resolve();
    await ending.promise;
  });
  // Whoever awaits it is told.
  done.catch(() => undefined);
  return { isIn: isIn.promise, end: ending.resolve, done };
}

describe('an instance that is idle', () => {
  it('makes nobody wait, and sees what the other has written when it is asked again', async () => {
    const place = makePlace();
    const [a, b] = [await startMachine(place, 'a'), await startMachine(place, 'b')];
    const ids: string[] = [];
    for (let i = 0; i < 4; i += 1) {
      for (const machine of [a, b]) {
        ids.push(await machine.write());
        expect(await machine.read()).toEqual([...ids].sort());
      }
    }
    expect(conversationsOn(place)).toEqual(ids.sort());
    expect(foldersOf(place)).toEqual([batonOf(place)]);
  });

  it('and is asked again, with nothing changed meanwhile, looks at one folder and copies nothing', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const id = await a.write();
    const baton = batonOf(place);
    faults.take();
    expect(await a.read()).toEqual([id]);
    const names = faults.take().flatMap(({ name, path }) => (path.endsWith('lease') ? [] : [name]));
    expect(names).toEqual(['readdir']);
    expect(batonOf(place)).toBe(baton);
    expect(a.calls.open).toBe(1);
  });

  it('and tidies up is not waited for: what it had not finished is undone, and left to the other', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const id = await a.write();
    const [isIn, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    onTestFinished(() => goOn.resolve());
    const tidied = a.access.useIfOurs(async () => {
      await exchange(a.store);
      isIn.resolve();
      await goOn.promise;
      await a.access.sync();
    });
    await isIn.promise;
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual([id]);
    goOn.resolve();
    expect(await tidied).toBe(false);
    expect(await a.read()).toEqual([id]);
    expect(a.calls).toEqual({ lost: 1, open: 2 });
  });

  it('tidies up only after a look, and only what is its own', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    await a.write();
    const b = await startMachine(place, 'b');
    let isDone = false;
    const work = async () => {
      isDone = true;
    };
    expect(await a.access.useIfOurs(work)).toBe(false);
    expect(isDone).toBe(false);
    expect(await b.access.useIfOurs(work)).toBe(true);
    expect(isDone).toBe(true);
  });
});

describe('an instance that is at work', () => {
  it('is waited for until it lets go', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const id = await a.write();
    const work = occupy(a);
    await work.isIn;
    const b = await startMachine(place, 'b');
    expect(b.access.status()).toMatchObject({ durable: false, owner: expect.stringMatching(/^a:/) });
    expect(b.lines.map(({ msg }) => msg)).toContain('another instance is at work on the volume; waiting for it');
    const reading = b.read();
    // What needs the volume only if it is there anyway does not wait.
    expect(await b.access.useIfOurs(async () => undefined)).toBe(false);
    work.end();
    await work.done;
    expect(await reading).toEqual([id]);
    expect(b.access.status()).toMatchObject({ durable: true, owner: null });
  });

  it('is not waited for without end: the answer is 503, with its name', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const work = occupy(a);
    await work.isIn;
    const b = await startMachine(place, 'b');
    const refused = [b.read(), b.write()].map((use) => use.catch((error: unknown) => error));
    for (const error of await Promise.all(refused))
      expect(error).toMatchObject({ code: 'store_owned_elsewhere', status: 503 });
    expect(b.calls).toEqual({ lost: 0, open: 0 });
    work.end();
    await work.done;
    // Standing by, it takes the volume without being asked.
    await expect.poll(() => b.access.status().durable).toBe(true);
  });

  it('and is dead is not waited for', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a', { self: makeDeadInstance('a') });
    const id = await a.write();
    const work = occupy(a);
    await work.isIn;
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual([id]);
  });

  it('keeps the volume while what it began goes on after the request', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    let letGo = async (): Promise<void> => undefined;
    await a.access.use('writes', async () => {
      letGo = a.access.hold();
    });
    const b = await startMachine(place, 'b');
    expect(b.access.status().owner).toMatch(/^a:/);
    await letGo();
    expect(await b.read()).toEqual([]);
  });
});

describe('an instance that has lost the volume', () => {
  it('refuses the writes that were under way, reads again what was read, ends once and in order what rests on it', async () => {
    const place = makePlace();
    const events: string[] = [];
    const a = await startMachine(place, 'a', { onLost: async () => void events.push('lost') });
    const ids = [await a.write()];
    const goOn = Promise.withResolvers<void>();
    const uses = Array.from({ length: 5 }, (_, i) =>
      a.access
        .use(i === 0 ? 'reads' : 'writes', async () => {
          await goOn.promise;
          try {
            if (i > 1) await exchange(a.store);
            if (i > 2) await a.access.sync();
            return await listConversations(a.store);
          } finally {
            events.push('use ended');
          }
        })
        .catch((error: unknown) => error),
    );
    await new Promise((resolve) => setImmediate(resolve));
    const b = await startMachine(place, 'b', { self: a.self });
    ids.push(await b.write());
    goOn.resolve();
    const [seen, ...others] = await Promise.all(uses);
    expect(seen).toEqual([...ids].sort());
    for (const refused of others)
      expect(refused).toMatchObject({ code: expect.stringMatching(/^store_|not_durable/), status: 503 });
    expect(a.calls).toEqual({ lost: 1, open: 2 });
    ids.push(await b.write());
    expect(await a.read()).toEqual([...ids].sort());
    // One of them ended twice: what had only read.
    expect(events.filter((event) => event === 'use ended')).toHaveLength(6);
    ids.push(await a.write());
    expect(await b.read()).toEqual(ids.sort());
    expect(conversationsOn(place)).toEqual(ids);
  });

  it('notices by itself while something goes on for long', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const work = occupy(a);
    await work.isIn;
    const b = await startMachine(place, 'b', { self: a.self });
    await expect.poll(() => a.calls.lost).toBe(1);
    expect(a.access.status().durable).toBe(false);
    work.end();
    await expect(work.done).rejects.toMatchObject({ status: 503 });
    expect(await b.read()).toEqual([]);
  });

  it('closes its database after the last use, not under it', async () => {
    const place = makePlace();
    const faults = watchFs(place.root);
    const a = await startMachine(place, 'a');
    const isOpen = () => faults.openPaths().includes(place.local('a'));
    const work = occupy(a);
    await work.isIn;
    await startMachine(place, 'b', { self: a.self });
    await expect(a.access.sync()).rejects.toMatchObject({ status: 503 });
    await expect(a.store.counts()).rejects.toMatchObject({ status: 503 });
    expect(a.calls.lost).toBe(1);
    const later = a.read();
    // Time enough for what must not happen.
    await sleep(200);
    expect([isOpen(), a.calls.open]).toEqual([true, 1]);
    work.end();
    expect(await later).toEqual([]);
    expect(a.calls).toEqual({ lost: 1, open: 2 });
    await a.access.stop();
    expect(isOpen()).toBe(false);
  });

  it('stops without a fault: what was taken over is safe with the other', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const letGo = a.access.hold();
    await exchange(a.store);
    const b = await startMachine(place, 'b', { self: a.self });
    await letGo();
    expect(await a.access.stop()).toBe(true);
    expect(await b.read()).toEqual([]);
  });
});

describe('any order of what several instances do', () => {
  /** Of a write: one that has lost the volume looks for it by itself after a second, and may come between. */
  const refused = (error: unknown): null => {
    expect(error).toMatchObject({ status: 503 });
    return null;
  };

  type Step = { on: number; act: 'write' | 'read' | 'force' | 'snapshot' | 'both' | 'restart' };
  const step: fc.Arbitrary<Step> = fc.record({
    on: fc.nat(2),
    act: fc.constantFrom('write', 'write', 'read', 'read', 'force', 'snapshot', 'both', 'restart'),
  });

  it('loses nothing that was acknowledged, and every later answer has it', async () => {
    const faults = watchFs(tmpdir(), { withoutFlushes: true });
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 6, maxLength: 14 }),
      fc.integer({ min: 2, max: 3 }),
      async (steps, count) => {
        const place = makePlace();
        // Under one name none waits for another: every takeover is a forced one.
        const self = makeInstance('all');
        const start = (on: number) => startMachine(place, `m${on}`, { self });
        const machines: Machine[] = [];
        for (let on = 0; on < count; on += 1) machines.push(await start(on));
        const acknowledged: string[] = [];
        const at = (on: number): Machine => {
          const machine = machines[on % count];
          if (machine === undefined) throw new Error('no such machine');
          return machine;
        };
        const check = async (on: number) => expect(await at(on).read()).toEqual(expect.arrayContaining(acknowledged));
        const write = async (on: number): Promise<void> => {
          for (let tries = 0; tries < 10; tries += 1) {
            const id = await at(on).write().catch(refused);
            if (id === null) continue;
            acknowledged.push(id);
            // At the end of an acknowledged write it alone has the volume, unless another has come right after it.
            if (generationOf(place).number === at(on).access.status().epoch) return;
          }
          throw new Error('ten writes in a row were refused, or ended without the volume');
        };
        for (const { on, act } of steps) {
          if (act === 'write') await write(on);
          else if (act === 'read') await check(on);
          else if (act === 'snapshot') forceSnapshot(place);
          else if (act === 'restart') {
            await at(on).access.stop();
            machines[on % count] = await start(on);
          } else if (act === 'both') {
            const written = await Promise.all(
              [0, 1, 2].map((i) =>
                at(on + i)
                  .write()
                  .catch(refused),
              ),
            );
            acknowledged.push(...written.filter((id) => id !== null));
          } else {
            // The first is cut off in the midst of a write that it has not synced.
            const cutOff = at(on).access.use('writes', async () => {
              const { conversation } = await exchange(at(on).store);
              await write(on + 1);
              await at(on).access.sync();
              return conversation.id;
            });
            await expect(cutOff).rejects.toMatchObject({ status: 503 });
          }
        }
        for (let on = 0; on < count; on += 1) await check(on);
        expect(conversationsOn(place)).toEqual(expect.arrayContaining(acknowledged));
        expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
        for (const { access } of machines) await access.stop();
        expect(faults.openPaths()).toEqual([]);
      },
    );
    // When each of them looks is the clock's affair, so what fails once need not fail again: nothing to shrink.
    await fc.assert(property, { numRuns: 6, endOnFailure: true });
  });
});
