/** How the doctor judges what it finds, and how it tells it. */

import { query } from '@anthropic-ai/claude-agent-sdk';
import { describe, expect, it } from 'vitest';
import { findProgram } from '../../src/agent/program.ts';
import { describeMount, judgeClock } from '../../src/cli/doctor/file-system.ts';
import { formatLine, inBytes, inTime, ok, runCheck } from '../../src/cli/doctor/finding.ts';
import { judgeRoom } from '../../src/cli/doctor/folders.ts';
import { describeZone, judgeKey, secretsOf } from '../../src/cli/doctor/settings.ts';
import { judgeSize } from '../../src/cli/doctor/volume.ts';
import { loadConfig } from '../../src/config.ts';

describe('a line', () => {
  it('has the status, the name and the text in columns', () => {
    expect(formatLine('settings', ok('29 read'), [])).toBe('ok    settings       29 read\n');
    expect(formatLine('LOCAL_DB_PATH', { status: 'fail', text: 'no' }, [])).toBe('fail  LOCAL_DB_PATH  no\n');
  });

  it('is one line, whatever an error says', () => {
    expect(formatLine('a', ok('one\ntwo\r\n\u001b[2Jthree '), [])).toBe('ok    a              one two [2Jthree\n');
  });

  it('has no secret in it, however it came there', () => {
    const env = {
      ANTHROPIC_API_KEY: '"sk-ant-quoted"',
      CLAUDE_CODE_OAUTH_TOKEN: ' sk-ant-oat ',
      API_TOKEN: 'token-one, token-two',
    };
    const { config } = loadConfig(env, { isRoot: false, isTerminal: false, homeDir: null });
    const text = '"sk-ant-quoted" sk-ant-quoted sk-ant-oat token-one and token-two';
    expect(formatLine('a', ok(text), secretsOf(env, config))).toBe(
      'ok    a              (secret) (secret) (secret) (secret) and (secret)\n',
    );
  });
});

describe('a check', () => {
  it('that throws has failed, with the reason', async () => {
    const run = () => Promise.reject(new Error('EIO: i/o error'));
    expect(await runCheck({ name: 'a', run })).toEqual([{ status: 'fail', text: 'EIO: i/o error' }]);
  });

  it('that does not end has failed', async () => {
    const run = () => new Promise<never>(() => undefined);
    expect(await runCheck({ name: 'a', run, limitMs: 1 })).toMatchObject([{ status: 'fail' }]);
  });
});

describe('an amount', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1_000, '1.0 KB'],
    [12_345_678, '12 MB'],
    [2e9, '2.0 GB'],
    [9.22e18, '9.2 EB'],
    [5e21, '5000 EB'],
  ])('of %s bytes is told as %s', (bytes, words) => expect(inBytes(bytes)).toBe(words));

  it.each([
    [-3, '0 ms'],
    [4.4, '4 ms'],
    [1_500, '1.5 s'],
    [90_000, '90 s'],
    [3_000_000, '50 min'],
    [36_000_000, '10 h'],
    [864_000_000, '10 days'],
  ])('of %s ms is told as %s', (ms, words) => expect(inTime(ms)).toBe(words));
});

describe('the key', () => {
  const key = (value: string, change: Partial<Parameters<typeof judgeKey>[0]> = {}) =>
    judgeKey({ variable: 'ANTHROPIC_API_KEY', kind: 'api_key', value, raw: value, hasOwnApi: false, ...change });
  const token = { variable: 'CLAUDE_CODE_OAUTH_TOKEN', kind: 'oauth_token' } as const;

  it.each([
    ['of the model API', key('sk-ant-api03-x'), 'ok'],
    ['of a subscription', key('sk-ant-oat01-x', token), 'ok'],
    ['of a gateway', key('anything', { hasOwnApi: true }), 'ok'],
    ['in quotes', key('"sk-ant-api03-x"'), 'fail'],
    ['in quotes, of a gateway', key("'anything'", { hasOwnApi: true }), 'fail'],
    ['of a subscription as an API key', key('sk-ant-oat01-x'), 'fail'],
    ['of the model API as a subscription', key('sk-ant-api03-x', token), 'fail'],
    ['of something else', key('sk-proj-x'), 'warn'],
    ['with white space around it', key('sk-ant-api03-x', { raw: 'sk-ant-api03-x\n' }), 'warn'],
  ])('%s is told by its variable and never shown', (_, finding, status) => {
    expect(finding.status).toBe(status);
    expect(finding.text).toMatch(/ANTHROPIC_API_KEY|CLAUDE_CODE_OAUTH_TOKEN/);
    expect(finding.text).not.toMatch(/-x|anything/);
  });
});

describe('the zone', () => {
  it.each([
    ['Asia/Kolkata', 'Asia/Kolkata', 'Asia/Kolkata, now UTC+05:30'],
    ['America/New_York', 'America/New_York', 'America/New_York, now UTC-04:00'],
    ['UTC', undefined, 'of the system: TZ is not set'],
  ])('%s (given: %s) is told with its offset at the time', (zone, given, text) => {
    expect(describeZone(zone, given, new Date('2026-07-01T12:00:00Z'))).toEqual(ok(expect.stringContaining(text)));
  });
});

describe('the room on a disk', () => {
  it.each([
    [{ free: 50e9, total: 100e9, leastBytes: 3e9 }, 'ok', '50 GB free of 100 GB'],
    [{ free: 9e9, total: 100e9, leastBytes: 0 }, 'warn', 'make room'],
    [{ free: 50e9, total: 100e9, leastBytes: 60e9 }, 'warn', 'three times the database (20 GB)'],
    [{ free: 0, total: 100e9, leastBytes: 0 }, 'fail', 'make room'],
    [{ free: 0, total: 0, leastBytes: 3e9 }, 'ok', 'does not say'],
  ])('(%o) is %s', (room, status, text) => {
    expect(judgeRoom(room)).toEqual({ status, text: expect.stringContaining(text) });
  });
});

describe('the clock', () => {
  const at = Date.UTC(2026, 6, 1);
  it.each([
    ['agrees', { beforeMs: at, fileMs: at + 5, afterMs: at + 10 }, 'ok', 'agrees'],
    ['agrees, on a slow volume', { beforeMs: at, fileMs: at + 9_000, afterMs: at + 9_500 }, 'ok', 'agrees'],
    ['is somewhat ahead', { beforeMs: at, fileMs: at + 4_010, afterMs: at + 10 }, 'ok', '4.0 s ahead'],
    ['is ahead', { beforeMs: at, fileMs: at + 5_010, afterMs: at + 10 }, 'warn', '5.0 s ahead'],
    ['is behind', { beforeMs: at, fileMs: at - 3_600_000, afterMs: at + 10 }, 'warn', '60 min behind'],
    ['is that of a machine without a clock', { beforeMs: 0, fileMs: 0, afterMs: 1 }, 'fail', '1970-01-01'],
  ])('of the volume %s', (_, clocks, status, text) => {
    expect(judgeClock(clocks)).toEqual({ status, text: expect.stringContaining(text) });
  });
});

it('a database of 2 GB is too large for a quick start', () => {
  expect(judgeSize(1.9e9)).toEqual(ok('1.9 GB'));
  expect(judgeSize(2e9)).toMatchObject({ status: 'warn', text: expect.stringContaining('PostgreSQL') });
});

describe('the mount', () => {
  const mount = { mountPoint: '/data', source: 'x', options: ['rw'] };
  it.each([
    [{ ...mount, type: 'ext4' }, 'ok'],
    [{ ...mount, type: 'tmpfs' }, 'warn'],
    [{ ...mount, type: 'fuse.s3fs' }, 'fail'],
    [{ ...mount, type: 'nfs4', options: ['rw', 'nocto'] }, 'fail'],
    [null, 'skip'],
  ])('%o is %s', (found, status) => {
    expect(describeMount(found, '/data/store').status).toBe(status);
  });
});

it("the agent's program is the one that the SDK starts", () => {
  let started: string | null = null;
  const spawnClaudeCodeProcess = ({ command }: { command: string }) => {
    started = command;
    throw new Error('it is not to be started');
  };
  expect(() => query({ prompt: 'hello', options: { spawnClaudeCodeProcess } })).toThrow('not to be started');
  expect(started).toBe(findProgram());
});
