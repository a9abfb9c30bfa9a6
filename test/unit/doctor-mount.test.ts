/** What a start and the doctor make of the mount of STORE_DIR: the system's own list of mounts, replaced. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { doctor } from '../../src/cli/doctor.ts';
import { serve } from '../../src/cli/serve.ts';
import { serverEnv } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const system = vi.hoisted(() => ({ mountinfo: '' }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  return {
    ...real,
    readFile: async (...args: Parameters<typeof real.readFile>) =>
      args[0] === '/proc/self/mountinfo' ? system.mountinfo : await real.readFile(...args),
  };
});
afterEach(() => {
  vi.restoreAllMocks();
});

const nocto = '99 27 0:45 / / rw,relatime shared:53 - nfs4 nas.local:/export rw,vers=4.1,hard,nocto,proto=tcp\n';
const bucket = '99 27 0:45 / / rw,nosuid,nodev,relatime - fuse.s3fs s3fs rw,user_id=0,group_id=0\n';

const env = () => serverEnv(temporaryFolder(), 'http://127.0.0.1:9');

async function diagnose() {
  let text = '';
  const code = await doctor(env(), (line) => {
    text += line;
  });
  return { code, line: text.split('\n').find((line) => line.includes('  mount  ')) };
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
