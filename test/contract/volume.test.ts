/** What an answer rests on: everything committed before a sync is on the volume after it, and plain SQLite reads it there. */

import { lstatSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Problem } from '../../src/domain/problem.ts';
import { messageOf } from '../../src/lib/error-code.ts';
import { isChange, watchFs } from '../support/fs-faults.ts';
import { contents, exchange } from '../support/store-inputs.ts';
import {
  ask,
  batonOf,
  conversationsOn,
  folderOf,
  foldersOf,
  listConversations,
  makePlace,
  onVolume,
  startMachine,
  writeVersion1,
} from '../support/volume-place.ts';

describe('an empty volume', () => {
  it('is an empty start, whose database is there at once', async () => {
    const place = makePlace();
    const { access } = await startMachine(place, 'a');
    expect(access.status()).toMatchObject({ durable: true, epoch: 1, fault: null, owner: null });
    expect(readdirSync(place.storeDir).sort()).toEqual([batonOf(place), 'baton', 'messages.db'].sort());
    expect(readdirSync(folderOf(place)).sort()).toEqual([
      'lease',
      'messages.db',
      'messages.db-wal',
      'messages.db.sha256',
      'wal',
    ]);
    expect(onVolume(place, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
    expect(readlinkSync(place.database)).toBe(join(batonOf(place), 'messages.db'));
  });
});

describe('the runtime database', () => {
  it('is for the server alone to read, whether it is new, of a generation or of 1.x', async () => {
    const before = process.umask(0o022);
    onTestFinished(() => void process.umask(before));
    const modesOf = (path: string) =>
      ['', '-wal', '-shm'].map((suffix) => (statSync(path + suffix).mode & 0o777).toString(8));
    const place = makePlace();
    for (const name of ['a', 'b']) {
      const machine = await startMachine(place, name);
      await machine.write();
      expect(modesOf(place.local(name)), name).toEqual(['600', '600', '600']);
      await machine.access.stop();
    }
    const old = makePlace();
    writeVersion1(old);
    await startMachine(old, 'a');
    expect(modesOf(old.local('a'))).toEqual(['600', '600', '600']);
  });
});

describe('what was synced', () => {
  it('is there on another machine, and what was not is not', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const synced = await a.write();
    const b = await startMachine(place, 'b');
    expect(await b.read()).toEqual([synced]);
    expect(await contents(b.store, synced)).toHaveLength(2);
    expect(b.access.status()).toMatchObject({ epoch: 2, hydrate: { bytes: expect.any(Number) } });
    expect(b.lines.find(({ msg }) => msg === 'hydrated from the volume')).toMatchObject({ found: 'v2', generation: 2 });
  });

  it('counts, not what lies on local disk of an earlier life', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const synced = await a.write();
    await a.access.stop();
    const local = place.local('a');
    ask(local, 'delete from conversations');
    writeFileSync(`${local}-wal`, 'junk');
    writeFileSync(`${local}-journal`, 'junk');
    const again = await startMachine(place, 'a');
    expect(await again.read()).toEqual([synced]);
  });

  it('is what plain sqlite3 finds through the link, log and all, while the server works', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const ids = [await a.write(), await a.write()].sort();
    expect(lstatSync(place.database).isSymbolicLink()).toBe(true);
    const person = new DatabaseSync(place.database, { readOnly: true });
    expect(
      person
        .prepare('select id from conversations order by id')
        .all()
        .map(({ id }) => id),
    ).toEqual(ids);
    person.close();
    ids.push(await a.write());
    expect(conversationsOn(place)).toEqual(ids.sort());
  });

  it('is only what was committed', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const id = await a.write();
    await a.access.use('writes', async () => {
      const before = onVolume(place, 'select * from conversations');
      const refused = a.store.updateTask({ id: 'none', change: (task) => task, at: '' });
      expect(await refused).toEqual({ kind: 'not_found' });
      await a.access.sync();
      expect(onVolume(place, 'select * from conversations')).toEqual(before);
    });
    expect(conversationsOn(place)).toEqual([id]);
  });

  it('by the end of a use needs nobody to have asked for it', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const { conversation } = await a.access.use('writes', async () => {
      const made = await exchange(a.store);
      expect(conversationsOn(place)).toEqual([]);
      return made;
    });
    expect(conversationsOn(place)).toEqual([conversation.id]);
    // And a refusal rests on what was read.
    const refused = a.access.use('writes', async () => {
      const made = await exchange(a.store);
      throw new Problem('invalid_request', made.conversation.id);
    });
    const id = await refused.catch((error: unknown) => messageOf(error));
    expect(conversationsOn(place)).toEqual([conversation.id, id].sort());
  });

  it('by the last sync of a stop needs nobody to have asked for it', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    const letGo = a.access.hold();
    const { conversation } = await exchange(a.store);
    expect(conversationsOn(place)).toEqual([]);
    await letGo();
    expect(await a.access.stop()).toBe(true);
    expect(conversationsOn(place)).toEqual([conversation.id]);
    expect(await a.access.stop()).toBe(true);
    await expect(a.read()).rejects.toMatchObject({ code: 'shutting_down' });
    await expect(a.access.sync()).rejects.toMatchObject({ code: 'shutting_down' });
  });
});

describe('a sync', () => {
  it('writes nothing when nothing was committed, and looks at one folder', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      await exchange(a.store);
      await a.access.sync();
      const { lastSyncAt, walBytes } = a.access.status();
      // The lease is written every two seconds, and a look at the baton may be the watch's.
      faults.take();
      await a.access.sync();
      await listConversations(a.store);
      await a.access.sync();
      const operations = faults.take().filter(({ path }) => !path.endsWith('lease'));
      expect(new Set(operations.map(({ name }) => name))).toEqual(new Set(['readdir']));
      expect(a.access.status()).toMatchObject({ lastSyncAt, walBytes });
    });
  });

  it('is an append, a flush and a look, in that order', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      await exchange(a.store);
      await a.access.sync();
      await exchange(a.store);
      faults.take();
      await a.access.sync();
      const names = faults.take().flatMap(({ name, path }) => (path.endsWith('lease') ? [] : [name]));
      expect(names).toEqual(['handle.write', 'handle.datasync', 'handle.stat', 'handle.read', 'readdir']);
    });
  });

  it('is shared by all that ask while another is under way: sixteen answers cost one flush', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      await exchange(a.store);
      const flush = faults.hold(({ name }) => name === 'handle.datasync');
      const first = a.access.sync();
      await flush.reached;
      faults.take();
      const made = await Promise.all(Array.from({ length: 16 }, () => exchange(a.store)));
      const answers = made.map(async ({ conversation }) => {
        await a.access.sync();
        expect(conversationsOn(place)).toContain(conversation.id);
      });
      flush.release();
      await Promise.all([first, ...answers]);
      const flushes = faults.take().filter(({ name, path }) => name === 'handle.datasync' && path.endsWith('/wal'));
      expect(flushes).toHaveLength(1);
    });
  });

  it('that began before a commit is not the one that it waits for', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.access.use('writes', async () => {
      const { conversation: early } = await exchange(a.store);
      const flush = faults.hold(({ name }) => name === 'handle.datasync');
      const first = a.access.sync();
      await flush.reached;
      const { conversation: late } = await exchange(a.store);
      const [second, third] = [a.access.sync(), a.access.sync()];
      flush.release();
      await first;
      faults.take();
      await Promise.all([second, third]);
      expect(conversationsOn(place)).toEqual([early.id, late.id].sort());
      expect(faults.take().filter(({ name }) => name === 'handle.datasync')).toHaveLength(1);
    });
  });

  it('changes nothing that was on the volume before: the log only grows, the base stays as it is', async () => {
    const place = makePlace();
    const a = await startMachine(place, 'a');
    await a.write();
    const [base, log] = ['messages.db', 'wal'].map((name) => readFileSync(join(folderOf(place), name)));
    for (let i = 0; i < 10; i += 1) await a.write();
    expect(readFileSync(join(folderOf(place), 'messages.db'))).toEqual(base);
    const longer = readFileSync(join(folderOf(place), 'wal'));
    expect(longer.length).toBeGreaterThan(log?.length ?? 0);
    expect(longer.subarray(0, log?.length)).toEqual(log);
    expect(a.access.status().walBytes).toBe(longer.length);
  });
});

describe('a start', () => {
  it('leaves alone what people keep on the volume', async () => {
    const place = makePlace();
    writeFileSync(join(place.storeDir, 'notes.txt'), 'of a person');
    writeFileSync(join(place.storeDir, '7-notes'), 'of a person');
    for (const name of ['a', 'b', 'c']) await (await startMachine(place, name)).write();
    expect(readFileSync(join(place.storeDir, 'notes.txt'), 'utf8')).toBe('of a person');
    expect(readFileSync(join(place.storeDir, '7-notes'), 'utf8')).toBe('of a person');
    expect(foldersOf(place)).toEqual([batonOf(place)]);
  });

  it('that finds nothing new copies the log as it is and changes no generation but its own', async () => {
    const place = makePlace();
    const faults = watchFs(place.storeDir);
    const a = await startMachine(place, 'a');
    await a.write();
    await a.access.stop();
    const before = folderOf(place);
    faults.take();
    await startMachine(place, 'b');
    const changes = faults.take().filter((operation) => isChange(operation) && operation.path.startsWith(before));
    expect(changes.map(({ name, path }) => `${name} ${path}`)).toEqual([`rm ${before}`]);
  });
});
