/** What `npm pack` makes, installed: what is in it, and what `npx picoclaw` does. */

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, cpSync, globSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it, test } from 'vitest';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { commandNames } from '../../src/cli/command-line.ts';
import { installAgentSdk } from '../support/bundle.ts';
import { startModel } from '../support/model.ts';
import { runServer, serverEnv, startServer } from '../support/server.ts';
import { sharedFolder, temporaryFolder } from '../support/temporary-folder.ts';

const root = join(import.meta.dirname, '../..');
const place = sharedFolder();
const installed = join(place, 'node_modules/picoclaw');
/** As npm links it. */
const program = join(place, 'node_modules/.bin/picoclaw');
const noModel = 'http://127.0.0.1:1';
let packed: string[];

beforeAll(async () => {
  const source = join(place, 'source');
  const building = spawn(process.execPath, ['scripts/build.ts', join(source, 'dist')], { cwd: root, stdio: 'inherit' });
  expect(await once(building, 'exit')).toEqual([0, null]);
  // With some that is to be left out.
  for (const name of globSync('{bin,built-in-skills,docs,scripts,src,package.json,tsconfig.json,LICENSE,*.md}', {
    cwd: root,
  }))
    cpSync(join(root, name), join(source, name), { recursive: true });
  // It has been built above.
  const told = execFileSync('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', place], {
    cwd: source,
    encoding: 'utf8',
  });
  const [archive] = z
    .tuple([z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) })])
    .parse(JSON.parse(told));
  packed = archive.files.map(({ path }) => path);
  mkdirSync(installed, { recursive: true });
  execFileSync('tar', ['-xzf', join(place, archive.filename), '-C', installed, '--strip-components=1']);
  mkdirSync(join(place, 'node_modules/.bin'));
  symlinkSync('../picoclaw/bin/picoclaw.js', program);
  installAgentSdk(join(place, 'node_modules'));
});

describe('the package', () => {
  it('holds the program, its skills, its documents and the licences of what is bundled, and nothing else', () => {
    // npm and globSync do not agree on the order of capitals.
    expect(packed.filter((path) => !/^dist\/[\w-]+\.js(\.LEGAL\.txt)?$/.test(path)).sort()).toEqual(
      [
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'bin/picoclaw.js',
        'built-in-skills/memory-notes/SKILL.md',
        'built-in-skills/scheduling/SKILL.md',
        'dist/licenses.txt',
        ...globSync('docs/*.md', { cwd: root }),
        'package.json',
      ].sort(),
    );
    expect(packed).toContain('dist/main.js');
    expect(readFileSync(join(installed, 'dist/licenses.txt'), 'utf8')).toMatch(
      /^hono \S+ \(MIT\)\n\nMIT License\n\nCopyright/m,
    );
  });

  it('wants nothing at run time but the Agent SDK', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['@anthropic-ai/claude-agent-sdk']);
  });

  it('serves, with its skills', async () => {
    const model = await startModel();
    model.mock.on({}, { content: 'From the package.' });
    await using server = await startServer({ model, entry: program });
    expect(await server.chat({ message: 'hello' })).toMatchObject({ status: 'success', result: 'From the package.' });
    expect((await server.get('/admin/skills')).body).toMatchObject({
      skills: { builtIn: ['memory-notes', 'scheduling'], warnings: [] },
    });
    const mcp = await runServer({ PATH: process.env.PATH ?? '', PICOCLAW_URL: server.url }, ['mcp'], program);
    expect(mcp).toMatchObject({ code: 0, stderr: '' });
    const doctor = await runServer(serverEnv(server.dir, noModel), ['doctor'], program);
    expect(doctor.stdout).toMatch(/^ok +claude /m);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    await model.stop();
  });

  it('has the demo with its offline model, and starts itself for it', async () => {
    const env = { PATH: process.env.PATH ?? '', TMPDIR: temporaryFolder(), MAX_EXECUTION_MS: '5m' };
    const { code, stdout, stderr } = await runServer(env, ['demo'], program);
    expect(code).toBe(1);
    expect(stdout).toContain('OFFLINE MODEL');
    expect(stderr).toContain('MAX_EXECUTION_MS: "5m"');
  });

  it('logs for people where that is asked for', async () => {
    const env = {
      ...serverEnv(temporaryFolder(), noModel),
      LOG_FORMAT: 'pretty',
      HOST: '203.0.113.7',
      API_TOKEN: 'test-0123456789',
    };
    const { code, stdout } = await runServer(env, [], program);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^\[[\d:.]+\] .*FATAL.*: the server failed$/m);
  });
});

describe('picoclaw', () => {
  it.each(['--help', '-h'])(
    '%s tells its commands, where the settings are described, and its exit codes',
    async (flag) => {
      const { code, stdout, stderr } = await runServer({}, [flag], program);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      for (const name of commandNames) expect(stdout).toMatch(new RegExp(`^  ${name} +\\w`, 'm'));
      const settings = /All of them: (.+)$/m.exec(stdout)?.[1] ?? '';
      expect(readFileSync(settings, 'utf8')).toMatch(/^# Configuration$/m);
      expect(stdout).toContain('Exit codes: 0 ');
    },
  );

  it.each(['--version', '-V'])('%s tells its version, and loads nothing for it', async (flag) => {
    const tell = `process.on('exit', () => console.error(JSON.stringify(process.moduleLoadList)));`;
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tell)}` };
    const { code, stdout, stderr } = await runServer(env, [flag], program);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${manifest.version}\n` });
    const loaded = z.array(z.string()).parse(JSON.parse(stderr));
    expect(loaded).toContain('NativeModule path');
    for (const name of ['http', 'sqlite', 'child_process']) expect(loaded).not.toContain(`NativeModule ${name}`);
  });

  it('names a command or an option that there is not, with exit code 2', async () => {
    expect(await runServer({}, ['serv'], program)).toEqual({
      code: 2,
      stdout: '',
      stderr: 'picoclaw: no command "serv"; there are: serve, demo, doctor, mcp; see picoclaw --help\n',
    });
    const { code, stderr } = await runServer({}, ['serve', '--port=80'], program);
    expect(code).toBe(2);
    expect(stderr).toContain('no option "--port=80"');
  });

  it('says in a checkout that is not built what to do', async () => {
    const checkout = temporaryFolder();
    mkdirSync(join(checkout, 'bin'));
    copyFileSync(join(root, 'bin/picoclaw.js'), join(checkout, 'bin/picoclaw.js'));
    copyFileSync(join(root, 'package.json'), join(checkout, 'package.json'));
    expect(await runServer({}, [], join(checkout, 'bin/picoclaw.js'))).toEqual({
      code: 1,
      stdout: '',
      stderr: 'picoclaw: this checkout is not built yet. Run first: npm ci && npm run build\n',
    });
  });

  test('on an older Node says which it needs and which this is', ({ skip }) => {
    const older = findOlderNode();
    if (older === null) return skip('there is no older Node on the PATH of this machine');
    const { status, stdout, stderr } = spawnSync(older.path, [program, '--version'], { encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(`picoclaw: needs Node 24 or newer; this is ${older.version} (`);
    expect(stderr).toContain(`npx -p node@24 node ${program}\n`);
    expect(manifest.engines.node).toBe('>=24');
  });
});

function findOlderNode(): { path: string; version: string } | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'node');
    const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
    const version = stdout?.trim().slice(1) ?? '';
    // Those before cannot load the module that says it.
    if (/^(1[2-9]|2[0-3])\./.test(version)) return { path, version };
  }
  return null;
}
