/** The environment is handed over whole, and what other processes can read of it is blank but for harmless names. */

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { blank, readBlockBounds } from '../../src/lib/own-environment.ts';

describe('blanking the block', () => {
  const zeros = (entry: string) => '\0'.repeat(entry.length);

  it.each([
    ['keeps harmless names', 'PATH=/bin\0LC_ALL=C\0', 'PATH=/bin\0LC_ALL=C\0'],
    ['blanks every other', 'PATH=/bin\0A_KEY=value\0TZ=UTC\0', `PATH=/bin\0${zeros('A_KEY=value')}\0TZ=UTC\0`],
    ['takes a name whole', 'PATHS=/bin\0PAT=x\0', `${zeros('PATHS=/bin')}\0${zeros('PAT=x')}\0`],
    [
      'knows names of Node one by one',
      'NODE_AUTH_TOKEN=x\0NODE_ENV=y\0',
      `${zeros('NODE_AUTH_TOKEN=x')}\0NODE_ENV=y\0`,
    ],
    ['blanks each of the same name', 'KEY=a\0KEY=b\0', `${zeros('KEY=a')}\0${zeros('KEY=b')}\0`],
    ['goes by the first equals sign', 'KEY=PATH=/bin\0PATH=a=b\0', `${zeros('KEY=PATH=/bin')}\0PATH=a=b\0`],
    ['takes lines for part of the value', 'KEY=a\nPATH=/bin\0', `${zeros('KEY=a\nPATH=/bin')}\0`],
    ['blanks what has no name', '=x\0', `${zeros('=x')}\0`],
    ['blanks what has no value', 'PATH\0HOME=/\0', `${zeros('PATH')}\0HOME=/\0`],
    ['blanks bytes that are not UTF-8', 'KEY\xff=\xfe\0HOME=/\xff\0', `${zeros('KEY\xff=\xfe')}\0HOME=/\xff\0`],
    ['takes a last entry without its zero', 'HOME=/\0KEY=x', `HOME=/\0${zeros('KEY=x')}`],
    ['leaves what is blank', '\0\0\0HOME=/\0\0', '\0\0\0HOME=/\0\0'],
    ['leaves nothing as it is', '', ''],
  ])('%s', (_, block, expected) => {
    expect(blank(Buffer.from(block, 'latin1')).toString('latin1')).toBe(expected);
  });
});

describe('finding the block', () => {
  const stat = (name: string, bounds: [string, string]) =>
    `1234 (${name}) S ${[...Array(46).fill('7'), ...bounds, '0'].join(' ')}\n`;

  it.each([
    ['a plain name', stat('node', ['140737488342033', '140737488347111'])],
    ['a name with spaces and parentheses', stat('a) S (b 1', ['140737488342033', '140737488347111'])],
  ])('reads its bounds past %s', (_, text) => {
    expect(readBlockBounds(text)).toEqual({ start: 140_737_488_342_033, end: 140_737_488_347_111 });
  });

  it.each([
    ['the kernel does not tell', stat('node', ['0', '0'])],
    ['they are in no order', stat('node', ['20', '10'])],
    ['they are no numbers', stat('node', ['x', 'y'])],
    ['the line is short', '1234 (node) S 1 2 3\n'],
    ['there is nothing', ''],
  ])('has no bounds where %s', (_, text) => {
    expect(readBlockBounds(text)).toBeNull();
  });
});

describe.skipIf(process.platform !== 'linux')('taking the environment', () => {
  it('hands all of it over, and leaves harmless names for this process, its children and whoever looks', async () => {
    const secret = { API_TOKEN: 'secret-1', A_CLOUD: 'secret-2\nHOME=secret-3', BIG: `secret-${'x'.repeat(100_000)}` };
    const harmless = { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'Asia/Tokyo', NO_PROXY: 'localhost' };
    const found = await take({ ...secret, ...harmless });
    expect(found).toEqual({
      block: 'wiped',
      env: { ...secret, ...harmless },
      own: harmless,
      // A shell adds to its own.
      inherited: expect.not.stringContaining('secret'),
      shown: expect.not.stringContaining('secret'),
      offsetMinutes: -540,
    });
    for (const [name, value] of Object.entries(harmless)) expect(found.shown).toContain(`${name}=${value}`);
  });

  it('is done with an empty one', async () => {
    expect(await take({})).toMatchObject({ block: 'wiped', env: {}, own: {}, shown: '' });
  });
});

/** In a process of its own, which then looks at itself and lets a child look. */
async function take(env: Record<string, string>): Promise<Record<string, unknown>> {
  const module = join(import.meta.dirname, '../../src/lib/own-environment.ts');
  const program = `
    import { execFileSync } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    import { takeEnvironment } from ${JSON.stringify(module)};
    const { env, block } = takeEnvironment();
    const shown = readFileSync('/proc/' + process.pid + '/environ', 'latin1').replace(/\\0+/g, '\\n').trim();
    const inherited = execFileSync('/bin/sh', ['-c', 'export'], { encoding: 'utf8' });
    const offsetMinutes = new Date(0).getTimezoneOffset();
    process.stdout.write(JSON.stringify({ block, env, own: { ...process.env }, shown, inherited, offsetMinutes }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { env });
  return JSON.parse(stdout);
}
