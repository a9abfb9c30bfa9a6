/** `picoclaw.sh` and the Makefile's targets for a running server, as a person uses them: where there is no engine, and where there is one. */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { freePort } from '../support/free-port.ts';
import { type Model, startModel } from '../support/model.ts';
import { liveProcesses } from '../support/processes.ts';
import { startServer } from '../support/server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const key = 'sk-ant-hidden-0123456789';

let model: Model;
beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'Hello from the script.' });
});
afterAll(() => model.stop());

describe('picoclaw.sh without an engine', () => {
  it('sets a server up from the environment, tests it, tells its log, stops it, and starts it again with what it wrote', async () => {
    const here = await makeCheckout({ docker: 'exit 1' });
    const watch = watchCommandLines();
    const given = { ANTHROPIC_API_KEY: key, ANTHROPIC_BASE_URL: model.url, PORT: String(await freePort()) };
    const up = await here.run(['up'], given);
    expect(up).toMatchObject({ code: 0, stderr: '' });
    expect(up.stdout).toContain('No Docker engine: docker cannot reach its engine');
    expect(up.stdout).toContain('"result":"Hello from the script."');

    const env = readFileSync(join(here.dir, '.env'), 'utf8');
    const token = /^API_TOKEN=([0-9a-f]{64})$/m.exec(env)?.[1] ?? '';
    expect(token).not.toBe('');
    expect(env).toContain(`ANTHROPIC_API_KEY=${key}\n`);
    expect(statSync(join(here.dir, '.env')).mode & 0o777).toBe(0o600);
    expect((await fetch(`http://127.0.0.1:${given.PORT}/chat`)).status).toBe(401);

    const tested = await here.run(['test']);
    expect(tested).toMatchObject({ code: 0, stdout: expect.stringContaining('"status":"ok"') });
    expect(tested.stdout).toMatch(/"build_time":"2\d{3}-/);
    expect(await here.run(['logs'])).toMatchObject({ code: 0, stdout: expect.stringContaining('"msg":"listening"') });
    expect(await here.run(['up'])).toMatchObject({ code: 1, stderr: expect.stringContaining('running already') });
    expect(await here.run(['stop-api'])).toMatchObject({ code: 0, stdout: 'Stopped.\n' });
    expect(liveProcesses(here.dir)).toEqual([]);
    expect(await here.run(['test'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no server answers at'),
    });

    expect(await here.run(['up'])).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(here.dir, '.env'), 'utf8')).toBe(env);
    expect(await here.run(['down'])).toMatchObject({ code: 0 });
    expect(liveProcesses(here.dir)).toEqual([]);
    expect(readdirSync(join(here.dir, 'data')).sort()).toEqual(expect.arrayContaining(['memory', 'store']));
    expect(readdirSync(join(here.dir, 'data')).filter((name) => name.startsWith('picoclaw.'))).toEqual([]);

    const seen = await watch.end();
    expect(seen.filter((line) => line.includes('/chat'))).not.toEqual([]);
    expect(seen.filter((line) => line.includes(key) || line.includes(token))).toEqual([]);
  });

  it('asks on a terminal, and does not show the key', async () => {
    const here = await makeCheckout({ docker: 'exit 1' });
    const watch = watchCommandLines();
    const child = here.start(['script', '-qec', './picoclaw.sh up', '/dev/null'], { PORT: String(await freePort()) });
    const screen = readScreen(child);
    await screen.shows('Base URL of the model API');
    child.stdin?.write(`${model.url}\n`);
    await screen.shows('Model API key');
    child.stdin?.write(`${key}\n`);
    await screen.shows('It is up at');
    await here.run(['down']);
    expect(screen.text()).toContain(model.url);
    expect(screen.text()).not.toContain(key);
    expect(readFileSync(join(here.dir, '.env'), 'utf8')).toContain(`ANTHROPIC_API_KEY=${key}\n`);
    expect((await watch.end()).filter((line) => line.includes(key))).toEqual([]);
  });

  it('does not ask on a terminal for the base URL that the environment has', async () => {
    const here = await makeCheckout({ docker: 'exit 1' });
    const given = { ANTHROPIC_BASE_URL: 'http://127.0.0.1:1', PORT: 'no port' };
    const child = here.start(['script', '-qec', './picoclaw.sh up', '/dev/null'], given);
    const screen = readScreen(child);
    await screen.shows('Model API key');
    child.stdin?.write(`${key}\n`);
    await screen.shows('PORT has a character');
    expect(screen.text()).not.toContain('Base URL');
    expect(readFileSync(join(here.dir, '.env'), 'utf8')).toContain('ANTHROPIC_BASE_URL=http://127.0.0.1:1\n');
  });

  it.each([
    ['no key and no terminal', ['up'], {}, 'no key: set ANTHROPIC_API_KEY'],
    ['a key that .env cannot hold', ['up'], { ANTHROPIC_API_KEY: "it's" }, 'ANTHROPIC_API_KEY has a character'],
    ['a command that it does not know', ['upp'], {}, 'no command "upp"; there are: up, test'],
    ['a test of what was never set up', ['test'], {}, 'first: ./picoclaw.sh up'],
    ['logs where there are none', ['logs'], {}, 'there is no log'],
  ])('refuses %s, and says what to do', async (_, args, env, told) => {
    const here = await makeCheckout({ docker: 'exit 1' });
    expect(await here.run(args, env)).toMatchObject({ code: 1, stderr: expect.stringContaining(told) });
    expect(liveProcesses(here.dir)).toEqual([]);
  });

  it('shows the log of a server that ends at once', async () => {
    const here = await makeCheckout({ docker: 'exit 1' });
    const given = { ANTHROPIC_API_KEY: key, PORT: String(await freePort()), MAX_EXECUTION_MS: '5m' };
    const { code, stderr } = await here.run(['up'], given);
    expect(code).toBe(1);
    expect(stderr).toContain('MAX_EXECUTION_MS');
    expect(stderr).toContain('the server has ended');
  });

  it('does not take another server for its own', async () => {
    await using other = await startServer({ model });
    const here = await makeCheckout({ docker: 'exit 1' });
    const { code, stderr } = await here.run(['up'], { ANTHROPIC_API_KEY: key, PORT: new URL(other.url).port });
    expect([code, stderr]).toEqual([1, expect.stringContaining('something else answers')]);
  });
});

describe('picoclaw.sh with an engine', () => {
  it('builds, starts, reads, stops and removes the container, with nothing secret on a command line', async () => {
    const token = 'a-token-of-the-container-0123';
    await using server = await startServer({ model, env: { API_TOKEN: token } });
    // Of the engine only its command is there; what it would have started is the server above.
    const here = await makeCheckout({ docker: 'echo "$@" "$PORT" >> docker.txt' });
    const given = { ANTHROPIC_API_KEY: key, API_TOKEN: token, PORT: new URL(server.url).port };
    expect(await here.run(['up'], given)).toMatchObject({ code: 0, stdout: expect.stringContaining('It is up at') });
    // What .env has goes before the environment, for compose too.
    for (const command of ['up', 'test', 'logs', 'stop-api', 'down'])
      expect((await here.run([command], { PORT: '1' })).code).toBe(0);
    const calls = readFileSync(join(here.dir, 'docker.txt'), 'utf8')
      .split('\n')
      .map((call) => call.trim());
    expect(calls.filter((call) => /^compose (?!version)/.test(call))).toEqual([
      'compose up --detach --build',
      'compose up --detach --build',
      'compose logs',
      'compose stop',
      'compose down',
    ]);
    expect(readFileSync(join(here.dir, '.env'), 'utf8')).toContain(`API_TOKEN=${token}\n`);
  });

  it.each(['restarting', 'exited'])('shows the log of a container that is %s', async (state) => {
    const here = await makeCheckout({
      docker: `case "$*" in *' ps '*) echo ${state} ;; *' logs --tail 20') echo MAX_EXECUTION_MS is wrong ;; esac`,
    });
    const { code, stderr } = await here.run(['up'], { ANTHROPIC_API_KEY: key, PORT: String(await freePort()) });
    expect(code).toBe(1);
    expect(stderr).toBe('MAX_EXECUTION_MS is wrong\npicoclaw.sh: the server has ended; above is the end of its log\n');
  });

  it('shows a health that is not well, and waits for a better one', async () => {
    const healths = [503, 503, 200, 200];
    const server = createServer((request, response) => {
      response.statusCode = request.url === '/health' ? (healths.shift() ?? 200) : 200;
      response.end(response.statusCode === 503 ? '{"status":"degraded"}' : '{"status":"success"}');
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const here = await makeCheckout({ docker: 'case "$*" in *" ps "*) echo running ;; esac' });
    const { port } = z.object({ port: z.number() }).parse(server.address());
    const { code, stdout } = await here.run(['up'], { ANTHROPIC_API_KEY: key, PORT: String(port) });
    expect([code, stdout.match(/health, not well yet: .*/g)]).toEqual([
      0,
      ['health, not well yet: {"status":"degraded"}'],
    ]);
  });
});

describe('the Makefile', () => {
  it('talks to a running server', async () => {
    const token = 'a-token-of-the-server-0123';
    await using server = await startServer({ model, env: { API_TOKEN: token } });
    const make = (target: string) => runIn(root, ['make', target], { PICOCLAW_URL: server.url, API_TOKEN: token });
    expect(await make('test-health')).toMatchObject({ code: 0, stdout: expect.stringContaining('"status":"ok"') });
    expect((await make('test-chat')).stdout).toContain('"result":"Hello from the script."');
    expect((await make('test-task-create')).stdout).toContain('"schedule_type":"once"');
    expect((await make('test-task-check')).stdout).toMatch(/"checked":1.*"status":"success"/);
  });

  it('says where there is none, and what a server refuses', async () => {
    const nowhere = await runIn(root, ['make', 'test-chat'], { PICOCLAW_URL: `http://127.0.0.1:${await freePort()}` });
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('no server answers at')]);
    await using server = await startServer({ model, env: { API_TOKEN: 'a-token-of-the-server-0123' } });
    const refused = await runIn(root, ['make', 'test-chat'], { PICOCLAW_URL: server.url, API_TOKEN: 'another' });
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('"code":"unauthorized"')]);
  });

  it('removes all that its targets and the recipes install and build, and nothing else', async () => {
    const dir = temporaryFolder();
    copyFileSync(join(root, 'Makefile'), join(dir, 'Makefile'));
    const installed = ['node_modules', 'test/api-tools/node_modules', 'deploy/node_modules'];
    const built = ['dist', 'coverage', 'deploy/aws/cdk.out'];
    for (const folder of [...installed, ...built, 'data']) mkdirSync(join(dir, folder), { recursive: true });
    writeFileSync(join(dir, '.env'), '');
    expect(await runIn(dir, ['make', 'clean'], {})).toMatchObject({ code: 0, stderr: '' });
    const left = readdirSync(dir, { recursive: true, encoding: 'utf8' });
    expect(left.sort()).toEqual(['.env', 'Makefile', 'data', 'deploy', 'deploy/aws', 'test', 'test/api-tools']);
  });
});

type Checkout = {
  dir: string;
  run(args: string[], env?: Record<string, string>): Promise<Ended>;
  start(command: string[], env: Record<string, string>): ChildProcess;
};
type Ended = { code: number; stdout: string; stderr: string };

/** The project in a folder of its own, with a `docker` that is this script. */
async function makeCheckout({ docker }: { docker: string }): Promise<Checkout> {
  const dir = temporaryFolder();
  for (const name of ['src', 'built-in-skills', 'node_modules', 'package.json'])
    symlinkSync(join(root, name), join(dir, name));
  mkdirSync(join(dir, 'scripts'));
  symlinkSync(join(root, 'scripts/build.ts'), join(dir, 'scripts/build.ts'));
  // A link would lead back to the project.
  copyFileSync(join(root, 'picoclaw.sh'), join(dir, 'picoclaw.sh'));
  copyFileSync(join(root, 'scripts/ask.sh'), join(dir, 'scripts/ask.sh'));
  // Older than what was installed from it: nothing is to be installed here.
  writeFileSync(join(dir, 'package-lock.json'), '');
  utimesSync(join(dir, 'package-lock.json'), 0, 0);
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'bin/docker'), `#!/bin/sh\n${docker}\n`);
  chmodSync(join(dir, 'bin/docker'), 0o755);
  const ours = { HOME: dir, PATH: `${join(dir, 'bin')}:${process.env.PATH}`, TZ: 'UTC', WARM_SPARES: '0' };
  const run: Checkout['run'] = (args, env = {}) => runIn(dir, ['./picoclaw.sh', ...args], { ...ours, ...env });
  onTestFinished(async () => {
    await run(['down']);
  });
  return {
    dir,
    run,
    start: ([command = '', ...args], env) =>
      spawn(command, args, { cwd: dir, env: { ...ours, ...env }, stdio: 'pipe' }),
  };
}

async function runIn(cwd: string, [command = '', ...args]: string[], env: Record<string, string>): Promise<Ended> {
  const child = promisify(execFile)(command, args, { cwd, env: { PATH: process.env.PATH, ...env } });
  child.child.stdin?.end();
  return await child.then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: Ended) => ({ code: error.code, stdout: error.stdout, stderr: error.stderr }),
  );
}

/** What is written to the terminal. */
function readScreen(child: ChildProcess) {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const ended = once(child, 'exit');
  return {
    text: () => text,
    async shows(part: string) {
      let isOver = false;
      void ended.then(() => {
        isOver = true;
      });
      while (!text.includes(part)) {
        if (isOver) throw new Error(`it ended without "${part}":\n${text}`);
        await Promise.race([once(child.stdout ?? child, 'data'), ended]);
      }
    },
  };
}

/** Every command line of this machine that a look, two hundred times a second, finds. */
function watchCommandLines() {
  const seen = new Set<string>();
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) seen.add(commandLine(pid));
      await sleep(5);
    }
  })();
  return {
    async end(): Promise<string[]> {
      isOver = true;
      await watching;
      return [...seen];
    },
  };
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
