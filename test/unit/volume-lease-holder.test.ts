/** Who is at work, as far as a file can say: it makes others wait, and never longer than it takes to see that nobody is. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Instance, isDead, thisInstance } from '../../src/store/volume/instance.ts';
import { findHolder, LeaseFile, leaseMs, readLease } from '../../src/store/volume/lease.ts';
import { makeFsError, watchFs } from '../support/fs-faults.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { makeInstance, makeLog, silent } from '../support/volume-place.ts';

const self = thisInstance();

function makeFolders() {
  const storeDir = temporaryFolder();
  const folder = join(storeDir, 'generation');
  mkdirSync(folder);
  return { storeDir, folder, path: join(folder, 'lease') };
}

function makeLease(folder: string, owner: Instance): LeaseFile {
  const lease = new LeaseFile({ folder, owner, log: silent });
  onTestFinished(() => lease.letGo());
  return lease;
}

/** A process of this machine, and the instance that it would say it is. */
async function spawnInstance() {
  const module = join(import.meta.dirname, '../../src/store/volume/instance.ts');
  const script = `import { thisInstance } from ${JSON.stringify(module)};
    process.stdout.write(JSON.stringify(thisInstance()));
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const [output] = await once(child.stdout, 'data');
  const instance: Instance = JSON.parse(String(output));
  const kill = async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  return { instance, kill };
}

describe('an instance', () => {
  it('that lives is not dead, and one that was killed is', async () => {
    const { instance, kill } = await spawnInstance();
    expect(instance.label).toMatch(/:\d+$/);
    expect(isDead(instance)).toBe(false);
    await kill();
    expect(isDead(instance)).toBe(true);
  });

  it('whose process id was given to another is dead', () => {
    expect(isDead(self)).toBe(false);
    expect(isDead({ ...self, started: '1' })).toBe(true);
  });

  it('of which nothing can be known is not', () => {
    expect(isDead({ ...self, world: 'another machine', started: '1' })).toBe(false);
    expect(isDead({ ...self, world: null, started: '1' })).toBe(false);
    expect(isDead({ ...self, started: null })).toBe(false);
  });
});

describe('the holder of a lease', () => {
  it('is another that is at work, as long as it lives', async () => {
    const { storeDir, folder } = makeFolders();
    const { instance, kill } = await spawnInstance();
    await makeLease(folder, instance).take();
    const lease = await readLease(folder);
    expect(await findHolder(lease, { storeDir, self })).toEqual(instance);
    await kill();
    expect(await findHolder(lease, { storeDir, self })).toBeNull();
  });

  it('is not whoever asks, nor one that is idle, nor one that has been silent for long', async () => {
    const { storeDir, folder, path } = makeFolders();
    const other = makeInstance('other');
    const lease = makeLease(folder, other);
    await lease.take();
    expect(await findHolder(await readLease(folder), { storeDir, self })).toEqual(other);
    expect(await findHolder(await readLease(folder), { storeDir, self: structuredClone(other) })).toBeNull();
    await lease.letGo();
    expect(await findHolder(await readLease(folder), { storeDir, self })).toBeNull();
    await lease.take();
    // By the file system's clock: the one of whoever wrote it plays no part.
    const now = Date.now();
    utimesSync(path, now / 1000, (now - leaseMs - 1000) / 1000);
    expect(await findHolder(await readLease(folder), { storeDir, self })).toBeNull();
    utimesSync(path, now / 1000, (now - leaseMs / 2) / 1000);
    expect(await findHolder(await readLease(folder), { storeDir, self })).toEqual(other);
  });

  it('is nobody where there is no lease', async () => {
    const { storeDir, folder } = makeFolders();
    expect(await readLease(folder)).toBeNull();
    expect(await readLease(join(folder, 'not there'))).toBeNull();
    expect(await findHolder(null, { storeDir, self })).toBeNull();
  });

  it('is nobody where the file holds anything else', async () => {
    const { storeDir, folder, path } = makeFolders();
    const whole = JSON.stringify({ owner: self, state: 'busy', flushed: 1 });
    const anything = fc.oneof(
      fc.string(),
      fc.json(),
      fc.nat(whole.length - 1).map((length) => whole.slice(0, length)),
      fc.constant(JSON.stringify({ owner: self, state: 'asleep', flushed: 1 })),
      fc.constant(JSON.stringify({ owner: { ...self, pid: '1' }, state: 'busy', flushed: 1 })),
    );
    // All at once: each is read again for a while, as it may be being written.
    const read = fc.sample(anything, 100).map(async (text, i) => {
      mkdirSync(join(storeDir, String(i)));
      writeFileSync(join(storeDir, String(i), 'lease'), text);
      expect([text, await readLease(join(storeDir, String(i)))]).toEqual([text, null]);
    });
    await Promise.all(read);
    writeFileSync(path, whole);
    expect(await readLease(folder)).toMatchObject({ owner: self, state: 'busy', flushed: 1 });
  });

  it('leaves nothing on the volume of the look for it', async () => {
    const { storeDir, folder } = makeFolders();
    await makeLease(folder, makeInstance('other')).take();
    const faults = watchFs(storeDir);
    await findHolder(await readLease(folder), { storeDir, self });
    const changes = faults.take().filter(({ name }) => name === 'rm' || name === 'handle.write');
    expect(changes.map(({ name }) => name)).toEqual(['handle.write', 'rm']);
  });
});

describe('the file of a lease', () => {
  it('says at last what was said last, however many are said at once', async () => {
    const { folder, path } = makeFolders();
    const lease = makeLease(folder, self);
    const calls = fc.array(fc.constantFrom('take', 'letGo', 'wait'), { minLength: 1, maxLength: 20 });
    const property = fc.asyncProperty(calls, async (steps) => {
      const writes: Promise<void>[] = [];
      for (const [i, step] of steps.entries()) {
        lease.noteFlushed(i);
        if (step === 'take') writes.push(lease.take());
        if (step === 'letGo') writes.push(lease.letGo());
        if (step === 'wait') await new Promise((resolve) => setImmediate(resolve));
      }
      const last = steps.findLast((step) => step !== 'wait');
      if (last === undefined) return;
      await writes.at(-1);
      expect(JSON.parse(readFileSync(path, 'utf8')).state).toBe(last === 'take' ? 'busy' : 'idle');
      await Promise.all(writes);
      await lease.letGo();
      const { flushed } = JSON.parse(readFileSync(path, 'utf8'));
      expect(flushed).toBe(steps.length - 1);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  it('is written again and again while its owner is at work', async () => {
    const { folder, path } = makeFolders();
    const lease = makeLease(folder, self);
    await lease.take();
    writeFileSync(path, 'overwritten');
    await expect.poll(() => readFileSync(path, 'utf8')).toContain('busy');
  });

  it('says what it said before while it is written again, however long that takes', async () => {
    const { storeDir, folder } = makeFolders();
    const lease = makeLease(folder, self);
    const faults = watchFs(storeDir);
    await lease.take();
    const held = faults.hold(({ name, path }) => name === 'handle.write' && path.endsWith('/lease'));
    const written = lease.letGo();
    await held.reached;
    expect(await readLease(folder)).toMatchObject({ state: 'busy' });
    held.release();
    await written;
    expect(await readLease(folder)).toMatchObject({ state: 'idle' });
  });

  it('that cannot be written is of no harm', async () => {
    const { storeDir, folder, path } = makeFolders();
    const { log, lines } = makeLog();
    const lease = new LeaseFile({ folder, owner: self, log });
    onTestFinished(() => lease.letGo());
    const faults = watchFs(storeDir);
    const heal = faults.before((operation) => {
      if (operation.name === 'handle.write') throw makeFsError('EROFS', operation);
    });
    await lease.take();
    expect(lines.map(({ msg }) => msg)).toEqual(['the lease of the volume could not be written']);
    heal();
    await lease.take();
    expect(readFileSync(path, 'utf8')).toContain('busy');
  });
});
