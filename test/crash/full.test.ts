/** What a volume refuses: nothing is acknowledged meanwhile, nothing is lost, and the server goes on when it can. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { sharedFolder } from '../support/temporary-folder.ts';
import { healthOf } from './health.ts';
import { look } from './look.ts';
import type { Machine } from './machine.ts';
import { Place } from './place.ts';
import type { Fault } from './plan.ts';
import { Random, seedOfTest } from './random.ts';
import { load, makeClients } from './rounds.ts';

// On a machine that is busy with other things.
// Tests that run at once cannot each have a folder of their own that is removed at its end.
const folder = sharedFolder();
const makePlace = () => new Place(mkdtempSync(join(folder, 'place-')));

const volumeBytes = 32 * 1024 * 1024;
const changes = 'volume (write|writev|writeFile|truncate|mkdir|rename|link|symlink|rm|open w)';

const faults: [string, Fault][] = [
  ['is full', { code: 'ENOSPC', match: '^volume (write|writev|writeFile|mkdir|symlink|link|open w)' }],
  ['has an I/O error on every flush', { code: 'EIO', match: '^volume (sync|datasync)' }],
  ['is read-only', { code: 'EROFS', match: `^${changes}` }],
];

it.concurrent.each(faults)('a volume that %s', async (_, fault) => {
  const place = makePlace();
  await expectPause(place, {
    begin: () => place.setFault(fault),
    end: () => place.setFault(null),
  });
});

it('a small volume that is really full', async () => {
  const place = makePlace();
  const ballast = join(place.storeDir, 'ballast');
  if (!mountSmall(place.storeDir)) {
    console.info('no file system can be mounted here; the wrapped operations stand for it');
    return;
  }
  await expectPause(place, {
    begin: () => {
      const { blocks, bsize } = statfsSync(place.storeDir);
      // More than there is room for: what fits is written.
      expect(() => writeFileSync(ballast, Buffer.alloc(blocks * bsize))).toThrow(/ENOSPC/);
    },
    end: () => rmSync(ballast),
  });
});

async function expectPause(place: Place, fault: { begin: () => void; end: () => void }): Promise<void> {
  const random = new Random(seedOfTest());
  const machine = await place.start();
  const clients = makeClients(place, random);
  const machines = () => [machine];
  await load(clients, random, { requests: 16, machines });
  const before = place.ledger.acknowledged;
  expect(before).toBeGreaterThan(8);

  fault.begin();
  expect(await statusOfChat(machine)).toBe(503);
  await expect.poll(() => healthOf(machine)).toMatchObject({ status: 'degraded', store: { durable: false } });
  const meanwhile = place.ledger.acknowledged;
  await load(clients, random, { requests: 12, machines });
  expect(place.ledger.acknowledged, 'nothing written is acknowledged').toBe(meanwhile);
  expect(lookAside(place)).toMatchObject({ unreadable: [], lost: [] });

  fault.end();
  await expect.poll(() => healthOf(machine)).toMatchObject({ status: 'ok' });
  await load(makeClients(place, random), random, { requests: 16, machines });
  expect(place.ledger.acknowledged, 'it works again').toBeGreaterThan(before);
  await machine.kill();
  expect(place.look()).toMatchObject({ unreadable: [], lost: [] });

  const next = await place.start();
  await load(clients, random, { requests: 8, machines: () => [next] });
  expect(await next.stop()).toBe(0);
  expect(place.look()).toEqual({ unreadable: [], lost: [], running: 0 });
}

/** On a copy: beside what it reads SQLite makes a file, for which there is no room. */
function lookAside(place: Place) {
  const copy = join(place.dir, 'aside');
  cpSync(place.storeDir, copy, { recursive: true, verbatimSymlinks: true });
  return look(copy, place.ledger);
}

async function statusOfChat({ url }: Machine): Promise<number> {
  const body = JSON.stringify({ message: 'never||' });
  const response = await fetch(`${url}/chat`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  return response.status;
}

function mountSmall(folder: string): boolean {
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${volumeBytes}`, 'tmpfs', folder]);
  if (status !== 0) return false;
  onTestFinished(() => {
    spawnSync('umount', ['-l', folder]);
  });
  return true;
}
