/** What a sandbox shows of the machine. */

import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { makeSandboxArgs, probeSandbox, type SandboxInput } from '../../src/agent/sandbox.ts';
import { hasSandbox } from '../support/agent-warm.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const isThere = await hasSandbox();

test.skipIf(!isThere)('of /run there is what resolves names, and no socket of a service', async () => {
  const shown = await inSandbox(
    {},
    'ls -A /run; find /run -type s 2> /dev/null | grep -v /run/systemd/resolve/ || true',
  );
  const names = ['systemd', 'resolvconf', 'NetworkManager', 'current-system'];
  expect(shown.split('\n').filter((name) => name !== '' && !names.includes(name))).toEqual([]);
});

test.skipIf(!isThere)('what is hidden is not there, and what is needed in it is', async () => {
  const dir = temporaryFolder();
  mkdirSync(join(dir, 'hidden/needed'), { recursive: true });
  writeFileSync(join(dir, 'hidden/secret'), 'x');
  writeFileSync(join(dir, 'hidden/needed/file'), 'seen');
  writeFileSync(join(dir, 'settings'), 'a key');
  const input = { hidden: [join(dir, 'hidden'), join(dir, 'settings')], readable: [join(dir, 'hidden/needed')] };
  const shown = await inSandbox(
    input,
    `ls ${dir}/hidden; cat ${dir}/hidden/needed/file ${dir}/settings 2> /dev/null || true`,
  );
  expect(shown).toBe('needed\nseen');
});

test.skipIf(!isThere)('one that cannot be made as it must be is said not to work, and why', async () => {
  const probe = await probeSandbox({ tempDir: join(temporaryFolder(), 'not-there') });
  expect(probe).toEqual({
    works: false,
    reason: expect.stringMatching(/not-there.*; let bubblewrap make namespaces$/s),
  });
});

async function inSandbox(input: Partial<SandboxInput>, script: string): Promise<string> {
  const args = await makeSandboxArgs({
    ...{ writable: [], readable: [], hidden: [], sealed: [], tempDir: temporaryFolder() },
    ...input,
  });
  return (await promisify(execFile)('bwrap', [...args, 'sh', '-c', script])).stdout;
}
