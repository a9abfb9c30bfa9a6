/** One tenure ends before the next begins: what is late of an old one, and what was lost on the way, does not harm the new. */

import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { nameOf } from '../../src/store/volume/layout.ts';
import { type Matcher, watchFs } from '../support/fs-faults.ts';
import { exchange } from '../support/store-inputs.ts';
import {
  batonOf,
  conversationsOn,
  folderOf,
  generationOf,
  type Machine,
  makeDeadInstance,
  makeMachine,
  makePlace,
  onVolume,
  silence,
  startMachine,
} from '../support/volume-place.ts';

/** Of a second and more that passes before a volume is tried again. */
const longerThanStandbyMs = 1_500;

const isLook: Matcher = ({ name, path }) => name === 'readdir' && path.endsWith('/baton');

function errorsOf({ lines }: Machine): string[] {
  return lines.filter(({ level }) => level >= 50).map(({ msg }) => msg);
}

describe('a new tenure', () => {
  it('does not begin, though the instance stands by for it, while a use of the old one is left', async () => {
    const place = makePlace();
    const b = await startMachine(place, 'b');
    const letGo = b.access.hold();
    // In standby from its start on: it takes the volume by itself.
    const a = await startMachine(place, 'a');
    expect(a.calls.open).toBe(0);
    await letGo();
    await expect.poll(() => a.calls.open).toBe(1);
    const [isIn, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const crossing = a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      isIn.resolve();
      await goOn.promise;
      await a.access.sync();
      return conversation.id;
    });
    crossing.catch(() => undefined);
    await isIn.promise;
    const c = await startMachine(place, 'c', { self: a.self });
    const theirs = await c.write();
    await expect(a.access.sync()).rejects.toMatchObject({ code: 'store_owned_elsewhere' });
    const later = a.read();
    // Time enough for what must not happen.
    await sleep(longerThanStandbyMs);
    expect(a.calls).toEqual({ lost: 1, open: 1 });
    goOn.resolve();
    await expect(crossing).rejects.toMatchObject({ code: 'store_owned_elsewhere' });
    expect(await later).toEqual([theirs]);
    expect(a.calls).toEqual({ lost: 1, open: 2 });
    expect(conversationsOn(place)).toEqual([theirs]);
  });

  it('is not ended by what a look of the old one finds out late', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const b = await startMachine(place, 'b');
    ids.push(await b.write());
    const held = faults.hold(isLook, 'after');
    const slow = a.write();
    await held.reached;
    await expect(a.access.sync()).rejects.toMatchObject({ code: 'store_owned_elsewhere' });
    await a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      ids.push(conversation.id);
      expect(a.calls).toEqual({ lost: 1, open: 2 });
      held.release();
      ids.push(await slow);
      await a.access.sync();
    });
    expect(a.calls).toEqual({ lost: 1, open: 2 });
    expect(conversationsOn(place)).toEqual(ids.sort());
  });

  it('does not begin once the server stops, neither for who waits nor when another lets go', async () => {
    const place = makePlace();
    const b = await startMachine(place, 'b');
    const id = await b.write();
    const letGo = b.access.hold();
    const a = await startMachine(place, 'a');
    const waiting = a.write();
    waiting.catch(() => undefined);
    await a.access.stop();
    const baton = batonOf(place);
    await letGo();
    await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
    await sleep(longerThanStandbyMs);
    expect(a.calls).toEqual({ lost: 0, open: 0 });
    expect(batonOf(place)).toBe(baton);
    expect(await b.read()).toEqual([id]);
  });
});

describe('a takeover', () => {
  it('holds what it has read, though the owner before cuts that off its own log', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const old = nameOf(generationOf(place));
    const ofOldLog = (method: string): Matcher => {
      return ({ name, path }) => name === method && path.endsWith(`${old}/wal`);
    };
    const heal = faults.fail('EIO', ofOldLog('handle.datasync'));
    const refused = a.access.use('writes', async () => {
      const { conversation } = await exchange(a.store);
      // Refused, and on the volume all the same, though not flushed.
      ids.push(conversation.id);
      await a.access.sync();
    });
    await expect(refused).rejects.toThrow();
    const b = makeMachine(place, 'b');
    const atCopy = faults.hold(({ name, path }) => name === 'open' && path.endsWith('/wal') && !path.includes(old));
    const opened = b.access.start();
    await atCopy.reached;
    // Tried again by itself, it begins where the last flush was.
    const cut = faults.hold(ofOldLog('handle.truncate'), 'after');
    await cut.reached;
    atCopy.release();
    await opened;
    ids.push(await b.write());
    cut.release();
    heal();
    await b.access.stop();
    const c = await startMachine(place, 'c');
    expect(await c.read()).toEqual([...ids].sort());
    expect([errorsOf(b), errorsOf(c)]).toEqual([[], []]);
    expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  });

  it('that was done, unanswered and sealed over removes nothing of what the next one reads', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const id = await a.write();
    const passing: Matcher = ({ name, path }) => name === 'rename' && /baton\/2-[0-9a-f]{16}$/.test(path);
    const passed = faults.hold(passing, 'after');
    const heal = faults.fail('ENOENT', passing, 'after');
    const b = makeMachine(place, 'b', { self: makeDeadInstance('b') });
    const starting = b.access.start();
    await passed.reached;
    const made = batonOf(place);
    const c = makeMachine(place, 'c');
    const reading = faults.hold(({ name, path }) => name === 'open' && path.endsWith(`${made}/messages.db`));
    const following = c.access.start();
    await reading.reached;
    passed.release();
    await starting;
    heal();
    expect(existsSync(join(place.storeDir, made, 'messages.db'))).toBe(true);
    reading.release();
    await following;
    expect(await c.read()).toEqual([id]);
    expect(await b.read()).toEqual([id]);
    expect([errorsOf(b), errorsOf(c)]).toEqual([[], []]);
  });

  it('that was sealed over while it read is no damage: it waits for the one that was faster, and more patiently', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const from = folderOf(place);
    const reading = faults.hold(({ name, path }) => name === 'open' && path === join(from, 'messages.db'));
    const b = makeMachine(place, 'b', { self: makeDeadInstance('b') });
    const starting = b.access.start();
    await reading.reached;
    const [isIn, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const c = makeMachine(place, 'c', {
      onOpen: async () => {
        isIn.resolve();
        await goOn.promise;
      },
    });
    const following = c.access.start();
    await isIn.promise;
    expect(existsSync(from)).toBe(false);
    // As long as an owner is waited for the first time, and longer.
    silence(folderOf(place), 8_000);
    reading.release();
    await starting;
    expect(b.access.status().owner).toBe(c.self.label);
    goOn.resolve();
    await following;
    ids.push(await c.write());
    expect(await b.read()).toEqual(ids.sort());
    expect([errorsOf(b), errorsOf(c)]).toEqual([[], []]);
  });
});

describe('an empty folder where the volume was', () => {
  it('is not taken for a new one, and the volume is served again when it is back', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const ids = [await a.write()];
    const b = await startMachine(place, 'b');
    ids.push(await b.write());
    await b.access.stop();
    await expect(a.access.sync()).rejects.toMatchObject({ code: 'store_owned_elsewhere' });
    renameSync(place.storeDir, `${place.storeDir}.away`);
    mkdirSync(place.storeDir);
    await expect(a.read()).rejects.toMatchObject({ code: 'store_unavailable' });
    await expect(a.write()).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(a.access.status().durable).toBe(false);
    const [line] = a.lines.filter(({ level }) => level >= 50);
    expect(JSON.stringify(line)).toContain('is the volume mounted?');
    expect(readdirSync(place.storeDir)).toEqual([]);
    rmdirSync(place.storeDir);
    renameSync(`${place.storeDir}.away`, place.storeDir);
    await expect.poll(() => a.access.status().durable).toBe(true);
    expect(await a.read()).toEqual(ids.sort());
  });
});
