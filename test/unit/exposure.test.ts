/** What counts as a secret, and what is said without trying; the attempts themselves are in test/e2e/own-secrets.test.ts. */

import { close, open } from 'node:inspector';
import { describe, expect, it, onTestFinished } from 'vitest';
import { findExposures, secretValues } from '../../src/cli/exposure.ts';
import { isDebuggerRefused, refuseDebugger } from '../../src/cli/own-process.ts';

describe('the secrets of an environment', () => {
  it.each([
    ['ANTHROPIC_API_KEY', 'sk-ant-0123'],
    ['CLAUDE_CODE_OAUTH_TOKEN', 'oauth-0123'],
    ['API_TOKEN', 'one-token,another'],
    ['AWS_SECRET_ACCESS_KEY', 'aws/0123+4567'],
    ['GITHUB_PAT', 'ghp_01234567'],
    ['db_password', 'correct horse'],
    ['DATABASE_URL', 'postgres://user:password@host/db'],
    ['REDIS', 'redis://:password@host'],
  ])('have the value of %s', (name, value) => {
    expect(secretValues({ [name]: value })).toEqual([value]);
  });

  it.each([
    ['PATH', '/usr/local/bin:/usr/bin'],
    ['GOOGLE_APPLICATION_CREDENTIALS', '/etc/credentials.json'],
    ['MONKEY', 'a-long-enough-value'],
    ['SECRET', 'short'],
    ['ANTHROPIC_BASE_URL', 'https://api.anthropic.com/a:b@c'],
    ['TOKEN', undefined],
  ])('do not have that of %s', (name, value) => {
    expect(secretValues({ [name]: value })).toEqual([]);
  });
});

describe('without trying', () => {
  const input = { secrets: ['a-long-enough-secret'], prefix: [] };

  it('nothing is to be said of a sandbox', async () => {
    expect(await findExposures({ ...input, sandboxed: true })).toEqual([]);
  });

  it('an open debugger is reached from a sandbox too', async () => {
    open(0, '127.0.0.1');
    onTestFinished(() => close());
    const [exposure, ...more] = await findExposures({ ...input, sandboxed: true });
    expect(more).toEqual([]);
    expect(exposure).toMatchObject({ way: 'debugger', sentence: expect.stringContaining('--inspect') });
  });

  it.skipIf(process.getuid?.() !== 0)('root is one finding', async () => {
    refuse();
    const exposures = await findExposures({ ...input, sandboxed: false });
    expect(exposures.map(({ way }) => way)).toEqual(['root']);
  });

  it('a debugger that is refused is no finding', () => {
    expect(isDebuggerRefused()).toBe(false);
    refuse();
    expect(isDebuggerRefused()).toBe(true);
  });
});

function refuse(): void {
  refuseDebugger(() => undefined);
  onTestFinished(() => void process.removeAllListeners('SIGUSR1'));
}
