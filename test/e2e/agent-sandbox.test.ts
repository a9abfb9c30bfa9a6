/** What a sandbox shows of the machine. */

import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
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
  const [, inRun] = /^\/run\/([^/]+)/.exec(realpathSync('/etc/resolv.conf')) ?? [];
  const names = ['systemd', 'resolvconf', 'NetworkManager', 'current-system', inRun];
  expect(shown.split('\n').filter((name) => name !== '' && !names.includes(name))).toEqual([]);
});

test.skipIf(!isThere)('names are resolved as outside', async () => {
  expect(await inSandbox({}, 'cat /etc/resolv.conf')).toBe(readFileSync('/etc/resolv.conf', 'utf8'));
});

test.skipIf(!isThere || process.getuid?.() !== 0)('a link in /run leads where it leads outside', async () => {
  // Where the machine has none, one for the time of the test.
  const link = '/run/current-system';
  const isOurs = !existsSync(link);
  if (isOurs) symlinkSync('/usr/bin', link);
  try {
    expect(await inSandbox({}, `readlink ${link}; ls ${link}/`)).toContain(`${readlinkSync(link)}\n`);
  } finally {
    if (isOurs) unlinkSync(link);
  }
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
