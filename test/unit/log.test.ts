/** What is really written: by a process of its own, since the log goes to the standard output of its process. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const module = join(import.meta.dirname, '../../src/lib/log.ts');
const entry = z.record(z.string(), z.unknown());

/** Standard output of a process that makes a log and runs `statements` on it. */
function written(input: { level: string; format: string }, statements: string): string {
  const script = `
    import { createLog } from ${JSON.stringify(module)};
    const log = await createLog(${JSON.stringify(input)});
    ${statements}`;
  return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
}

function entries(output: string) {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => entry.parse(JSON.parse(line)));
}

const leaks = `log.info({
  authorization: 'the-secret', apiKey: 'the-secret', api_key: 'the-secret', token: 'the-secret', headers: { a: 'the-secret' },
  request: { authorization: 'the-secret', apiKey: 'the-secret', headers: { a: 'the-secret' } }, run_id: 'run-1',
}, 'leaks');`;

describe('the log as json', () => {
  it('is one object a line: the level in words, the time in UTC, what is told and the message, and nothing else', () => {
    const output = written({ level: 'info', format: 'json' }, `log.info({ run_id: 'run-1' }, 'one'); log.warn('two');`);
    expect(entries(output)).toEqual([
      { level: 'info', time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/), run_id: 'run-1', msg: 'one' },
      { level: 'warn', time: expect.any(String), msg: 'two' },
    ]);
  });

  it('tells an error with its message, its stack and its cause', () => {
    const output = written(
      { level: 'info', format: 'json' },
      `log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'it failed');`,
    );
    expect(entries(output)).toMatchObject([
      { level: 'error', err: { message: expect.stringContaining('outer'), stack: expect.stringContaining('inner') } },
    ]);
  });

  it.each([
    ['debug', ['debug', 'info', 'error']],
    ['info', ['info', 'error']],
    ['error', ['error']],
  ])('at %s has nothing below it', (level, expected) => {
    const output = written({ level, format: 'json' }, `log.debug('d'); log.info('i'); log.error('e');`);
    expect(entries(output).map((line) => line.level)).toEqual(expected);
  });

  it('is empty when it is silent', () => {
    expect(written({ level: 'silent', format: 'json' }, `log.fatal('f');`)).toBe('');
  });

  it('hides what has the name of a secret, also one level down', () => {
    const output = written({ level: 'info', format: 'json' }, leaks);
    expect(output).not.toContain('the-secret');
    expect(entries(output)).toMatchObject([{ authorization: '[Redacted]', run_id: 'run-1', msg: 'leaks' }]);
  });
});

describe('the log for people', () => {
  it('is text with the level, the message and what is told, of the same level and above', () => {
    const output = written(
      { level: 'info', format: 'pretty' },
      `log.debug('below'); log.info({ run_id: 'run-1' }, 'one');`,
    );
    expect(output).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] .*INFO.*one/);
    expect(output).toContain('run-1');
    expect(output).not.toContain('below');
  });

  it('hides the same secrets', () => {
    const output = written({ level: 'info', format: 'pretty' }, leaks);
    expect(output).toContain('run-1');
    expect(output).not.toContain('the-secret');
  });
});
