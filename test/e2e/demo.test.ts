/** `make demo`, as the README promises it: it ends by itself, exit code 0, and leaves no process and no folder. */

import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { startModel } from '../support/model.ts';
import { liveProcesses } from '../support/processes.ts';
import { runServer } from '../support/server.ts';
import { sharedFolder } from '../support/temporary-folder.ts';

const dir = sharedFolder();

const env = { PATH: process.env.PATH ?? '', HOME: dir, TMPDIR: dir };

describe('the demo', () => {
  it('without a key says that the model is offline, and shows memory over a restart and a task that runs when it is due', async () => {
    const { code, stdout, stderr } = await runServer(env, ['demo']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain('OFFLINE MODEL');
    expect(stdout).toContain('Your name is Robin.');
    expect(stdout).toContain('[Bash]');
    expect(stdout).toContain('notes.md on the volume says: - Robin likes to paint lighthouses');
    expect(stdout).toContain('exit code 0');
    expect(stdout.lastIndexOf('You are Robin')).toBeGreaterThan(stdout.indexOf('up again'));
    expect(stdout).toContain('[mcp__picoclaw__schedule_task]');
    expect(stdout).toContain('cron:  the task has run: success');
    expect(stdout).toContain('agent sent: Robin, it is time to clean the lamp!');
    expect(stdout).toContain('curl -N');
    expect(liveProcesses(dir)).toEqual([]);
    expect(demoFolders()).toEqual([]);
  });

  it('with a key talks to the real model API', async () => {
    const model = await startModel();
    model.mock.on({}, { content: 'I am the real one.' });
    const { code, stdout } = await runServer(
      { ...env, ANTHROPIC_API_KEY: 'sk-ant-demo-key-000', ANTHROPIC_BASE_URL: model.url },
      ['demo'],
    );
    await model.stop();
    expect(code).toBe(0);
    expect(stdout).not.toContain('OFFLINE');
    expect(stdout).not.toContain('sk-ant-demo-key-000');
    expect(stdout.match(/I am the real one\./g)).toHaveLength(5);
    expect(model.requests()[0]?.headers['x-api-key']).toBe('sk-ant-demo-key-000');
  });
});

function demoFolders(): string[] {
  return readdirSync(dir).filter((name) => name.startsWith('picoclaw-demo-'));
}
