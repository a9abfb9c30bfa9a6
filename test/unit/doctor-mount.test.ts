/**
 * What a start and the doctor make of the file system of STORE_DIR: the system's list of mounts is replaced, and how it
 * renames.
 */

import { mkdirSync, readdirSync } from 'node:fs';
import { copyFile, rm } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { doctor } from '../../src/cli/doctor.ts';
import { serve } from '../../src/cli/serve.ts';
import { serverEnv } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

type Rename = (from: string, to: string) => Promise<void>;

const system = vi.hoisted((): { mountinfo: string; rename: Rename | null } => ({ mountinfo: '', rename: null }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    rename: (from: string, to: string) => (system.rename ?? real.rename)(from, to),
    readFile: async (...args: Parameters<typeof real.readFile>) =>
      args[0] === '/proc/self/mountinfo' ? system.mountinfo : await real.readFile(...args),
  };
});
afterEach(() => {
  system.mountinfo = '';
  system.rename = null;
  vi.restoreAllMocks();
});

const nocto = '99 27 0:45 / / rw,relatime shared:53 - nfs4 nas.local:/export rw,vers=4.1,hard,nocto,proto=tcp\n';
const bucket = '99 27 0:45 / / rw,nosuid,nodev,relatime - fuse.s3fs s3fs rw,user_id=0,group_id=0\n';

const env = () => serverEnv(temporaryFolder(), 'http://127.0.0.1:9');

async function diagnose(name = 'mount', given = env()) {
  const lines: string[] = [];
  const code = await doctor(given, (line) => lines.push(line));
  expect(lines.length).toBeGreaterThan(15);
  return { code, line: lines.find((line) => line.includes(`  ${name}  `)) };
}

describe('NFS with nocto', () => {
  it('keeps the server from starting, with the setting and the reason', async () => {
    system.mountinfo = nocto;
    let stderr = '';
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += String(text);
      return true;
    });
    const given = env();
    expect(await serve(given)).toBe(1);
    expect(stderr).toContain(`STORE_DIR: ${given.STORE_DIR}\n    is mounted with nocto (nfs4, nas.local:/export)`);
  });

  it('fails the doctor', async () => {
    system.mountinfo = nocto;
    expect(await diagnose()).toEqual({
      code: 1,
      line: expect.stringMatching(/^fail .*\/store\) is mounted with nocto/),
    });
  });
});

it('an object store fails the doctor, because what is answered is not safe there', async () => {
  system.mountinfo = bucket;
  expect(await diagnose()).toEqual({ code: 1, line: expect.stringMatching(/^fail .*an object store behind s3fs/) });
});

it('a volume that the system does not know is left at that', async () => {
  system.mountinfo = '';
  expect(await diagnose()).toEqual({ code: 0, line: expect.stringMatching(/^skip/) });
});

describe('a volume that renames', () => {
  const renamed = async (rename: Rename | null) => {
    system.rename = rename;
    const given = env();
    const storeDir = given.STORE_DIR ?? '';
    mkdirSync(storeDir);
    const found = await diagnose('rename, fsync', given);
    expect(readdirSync(storeDir)).toEqual([]);
    return found;
  };

  it.each<[string, Rename | null, string, number]>([
    ['as it must is good', null, 'ok .*both work', 0],
    ['by copying fails', (from, to) => copyFile(from, to), 'fail .*has one and other after a rename', 1],
    ['by linking anew and never refuses fails', renameLeniently, 'fail .*renames what is not there any more', 1],
    ['only with an error fails', () => Promise.reject(new Error('EIO: i/o error')), 'fail .*EIO', 1],
  ])('%s', async (_, rename, line, code) => {
    expect(await renamed(rename)).toEqual({ code, line: expect.stringMatching(new RegExp(`^${line}`)) });
  });
});

/** As some do whose answer was lost on the way and asked for again. */
async function renameLeniently(from: string, to: string): Promise<void> {
  await copyFile(from, to).catch(() => undefined);
  await rm(from, { force: true });
}
