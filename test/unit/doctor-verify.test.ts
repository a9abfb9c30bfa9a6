/** What the doctor says of a volume that somebody is at work on, which changes in the midst of its reading. */

import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { thisInstance } from '../../src/store/volume/instance.ts';
import { basePath, digestPath, leasePath, walPath } from '../../src/store/volume/layout.ts';
import { verifyVolume } from '../../src/store/volume/verify.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** What happens right before a file is opened for reading. */
const hooks = vi.hoisted(() => ({ onOpen: (_path: string): void => undefined }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    open: (path: string, ...rest: [flags?: string, mode?: number]) => {
      hooks.onOpen(path);
      return real.open(path, ...rest);
    },
  };
});

const [first, second] = ['1-0123456789abcdef', '2-fedcba9876543210'];

type Volume = { storeDir: string; log: { half: Buffer; whole: Buffer }; verify(): ReturnType<typeof verifyVolume> };

/** A generation in use with two commits in its log, the second of them not written yet. */
function makeVolume(): Volume {
  const root = temporaryFolder();
  const storeDir = join(root, 'store');
  const source = join(root, 'source.db');
  const db = new DatabaseSync(source);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
  db.exec('create table kysely_migration (name text); create table notes (text text)');
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const base = readFileSync(source);
  const commit = (text: string) => {
    db.prepare('insert into notes values (?)').run(text);
    return readFileSync(`${source}-wal`);
  };
  const log = { half: commit('one'), whole: commit('two') };
  db.close();

  mkdirSync(join(storeDir, 'baton'), { recursive: true });
  writeFileSync(join(storeDir, 'baton', first), '');
  makeGeneration(join(storeDir, first), { base, log: log.half });
  mkdirSync(join(root, 'copy'));
  return {
    storeDir,
    log,
    verify: async () => {
      const verdict = await verifyVolume({
        storeDir,
        copyPath: join(root, 'copy/messages.db'),
        migrate: async () => undefined,
      });
      expect(readdirSync(join(root, 'copy'))).toEqual([]);
      return verdict;
    },
  };
}

function makeGeneration(folder: string, { base, log }: { base: Buffer; log: Buffer }): void {
  mkdirSync(folder);
  writeFileSync(basePath(folder), base);
  writeFileSync(digestPath(folder), `${createHash('sha256').update(base).digest('hex')}  messages.db\n`);
  writeFileSync(walPath(folder), log);
  writeLease(folder, log.length);
}

function writeLease(folder: string, flushed: number): void {
  writeFileSync(leasePath(folder), JSON.stringify({ owner: thisInstance(), state: 'busy', flushed }));
}

beforeEach(() => {
  hooks.onOpen = () => undefined;
});

describe('a volume', () => {
  it('is whole while its log grows, and its lease says so, between any two steps of the reading', async () => {
    const steps: string[] = [];
    const counted = makeVolume();
    hooks.onOpen = (path) => {
      if (path.startsWith(counted.storeDir)) steps.push(path);
    };
    expect(await counted.verify()).toMatchObject({ kind: 'whole' });
    expect(steps.length).toBeGreaterThan(2);

    for (const [at] of steps.entries()) {
      const { storeDir, log, verify } = makeVolume();
      const folder = join(storeDir, first);
      let step = 0;
      hooks.onOpen = (path) => {
        if (!path.startsWith(storeDir)) return;
        if (step === at) {
          appendFileSync(walPath(folder), log.whole.subarray(log.half.length));
          writeLease(folder, log.whole.length);
        }
        step += 1;
      };
      expect(await verify(), `changed before ${steps[at]}`).toMatchObject({ kind: 'whole' });
    }
  });

  it('is read again when the baton is passed on, and the generation before removed, in the midst of it', async () => {
    for (const file of [basePath, walPath, leasePath]) {
      const { storeDir, log, verify } = makeVolume();
      const folder = join(storeDir, first);
      hooks.onOpen = (path) => {
        if (path !== file(folder)) return;
        hooks.onOpen = () => undefined;
        makeGeneration(join(storeDir, second), { base: readFileSync(basePath(folder)), log: log.whole });
        renameSync(join(storeDir, 'baton', first), join(storeDir, 'baton', second));
        rmSync(folder, { recursive: true });
      };
      const bytes = readFileSync(basePath(folder)).length + log.whole.length;
      expect(await verify()).toMatchObject({ kind: 'whole', bytes });
    }
  });

  it('that changes with every reading is told to do so', async () => {
    const { storeDir, verify } = makeVolume();
    let number = 1;
    hooks.onOpen = (path) => {
      if (!path.startsWith(storeDir) || !path.endsWith('lease')) return;
      const [name = ''] = readdirSync(join(storeDir, 'baton'));
      number += 1;
      const next = `${number}-0123456789abcdef`;
      renameSync(join(storeDir, name), join(storeDir, next));
      renameSync(join(storeDir, 'baton', name), join(storeDir, 'baton', next));
    };
    expect(await verify()).toEqual({ kind: 'moving' });
  });

  it('whose log is shorter than its lease says is impaired', async () => {
    const { storeDir, log, verify } = makeVolume();
    writeLease(join(storeDir, first), log.whole.length);
    expect(await verify()).toMatchObject({
      kind: 'impaired',
      fault: expect.stringContaining(walPath(join(storeDir, first))),
    });
  });

  it('whose base is gone is damaged', async () => {
    const { storeDir, verify } = makeVolume();
    rmSync(basePath(join(storeDir, first)));
    expect(await verify()).toMatchObject({ kind: 'damaged', fault: expect.stringContaining('is not there') });
  });

  it('with nothing on it is none', async () => {
    const { storeDir, verify } = makeVolume();
    rmSync(storeDir, { recursive: true });
    mkdirSync(storeDir);
    expect(await verify()).toEqual({ kind: 'none' });
  });

  it('of a later version cannot be used', async () => {
    const { storeDir } = makeVolume();
    const migrate = () => Promise.reject(new Error('it was written by a newer version'));
    const copyPath = join(temporaryFolder(), 'messages.db');
    expect(await verifyVolume({ storeDir, copyPath, migrate })).toEqual({
      kind: 'unusable',
      fault: 'it was written by a newer version',
    });
  });
});
