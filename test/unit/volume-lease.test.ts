/** The file by which others see that an instance is at work, read while it is written. */

import { writeFileSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { Instance } from '../../src/store/volume/instance.ts';
import { leasePath } from '../../src/store/volume/layout.ts';
import { LeaseFile, readLease } from '../../src/store/volume/lease.ts';
import { type Matcher, watchFs } from '../support/fs-faults.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const owner: Instance = { label: 'elsewhere:1', world: null, pid: 1, started: null };
const busy = JSON.stringify({ owner, state: 'busy', flushed: 0 });

it('a lease that is being written is waited for: whoever is at work is not taken for idle', async () => {
  const folder = temporaryFolder();
  // As a file system may show it for a moment.
  writeFileSync(leasePath(folder), '');
  let isRead = false;
  const read = readLease(folder).finally(() => {
    isRead = true;
  });
  // It has had the time to look, and to look again.
  for (let round = 0; round < 50; round += 1) await stat(folder);
  expect(isRead).toBe(false);
  await writeFile(leasePath(folder), busy);
  expect(await read).toMatchObject({ owner, state: 'busy' });
});

it.each(['', busy.slice(0, 20), '{"state":"busy"}'])('a lease that was cut off says nothing: %j', async (text) => {
  const folder = temporaryFolder();
  writeFileSync(leasePath(folder), text);
  expect(await readLease(folder)).toBeNull();
});

it('what is said while a write fails is written after it', async () => {
  const folder = temporaryFolder();
  const faults = watchFs(folder);
  const isWrite: Matcher = ({ name, path }) => name === 'handle.write' && path === leasePath(folder);
  const lease = new LeaseFile({ folder, owner, log: pino({ level: 'silent' }) });
  const held = faults.hold(isWrite);
  let failures = 0;
  faults.fail('EIO', (operation) => {
    if (!isWrite(operation) || failures > 0) return false;
    failures += 1;
    return true;
  });
  void lease.take();
  await held.reached;
  void lease.letGo();
  held.release();
  await lease.written();
  expect(failures).toBe(1);
  expect(await readLease(folder)).toMatchObject({ owner, state: 'idle' });
});
