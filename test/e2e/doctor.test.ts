/** `picoclaw doctor`, the process: what it prints, how it ends, and that it changes nothing. */

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  watch,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { basePath, walPath } from '../../src/store/volume/layout.ts';
import { type Model, startModel } from '../support/model.ts';
import { runServer, serverEnv, startServer } from '../support/server.ts';
import { sharedFolder, temporaryFolder } from '../support/temporary-folder.ts';

let model: Model;
/** A volume that a server has written to, and has left. */
const used = sharedFolder();
beforeAll(async () => {
  model = await startModel();
  model.mock.on({}, { content: 'Hello.' });
  await using server = await startServer({ model, dir: used });
  await server.chat({ message: 'hello' });
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
});
afterAll(() => model.stop());

const secret = 'sk-ant-test-0123456789';

async function doctor(dir: string, env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await runServer({ ...serverEnv(dir, model.url), ...env }, ['doctor']);
  expect(stderr).toBe('');
  expect(stdout).not.toContain(secret);
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, status, name, text] = /^(ok|warn|fail|skip) {2,4}(\S.{12}) {2}(\S.*)$/.exec(line) ?? [];
      if (status === undefined || text === undefined) throw new Error(`no line of the doctor: ${line}`);
      return { status, name: name?.trim() ?? '', text };
    });
  return { code, lines, of: (name: string) => lines.filter((line) => line.name === name) };
}

/** A copy of it, for one test. */
function usedVolume(): string {
  const dir = temporaryFolder();
  cpSync(used, dir, { recursive: true, verbatimSymlinks: true });
  return dir;
}

/** Everything below a folder: names, sizes, and when it was written to. */
function tree(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((path) => {
      const found = statSync(join(dir, path));
      // A folder's time tells of the files that were tried in it.
      return found.isDirectory() ? path : `${path} ${found.size} ${found.mtimeMs} ${found.ino}`;
    });
}

/** Every name that was used in a folder meanwhile, those that are gone again too. */
function watchNames(folder: string): () => Promise<string[]> {
  const names: string[] = [];
  const watcher = watch(folder, (_, name) => names.push(name ?? ''));
  onTestFinished(() => watcher.close());
  return async () => {
    // What the system tells comes in order.
    const last = join(folder, 'the-last');
    writeFileSync(last, '');
    await expect.poll(() => names).toContain('the-last');
    rmSync(last);
    return names;
  };
}

/** The folder of the current generation. */
function generationOf(dir: string): string {
  const [name, ...others] = readdirSync(join(dir, 'store/baton'));
  if (name === undefined || others.length > 0) throw new Error('no one generation');
  return join(dir, 'store', name);
}

describe('the doctor finds', () => {
  it('a volume that a server has left in order, and changes nothing on it', async () => {
    const dir = usedVolume();
    mkdirSync(join(dir, 'org'));
    const before = tree(dir);
    const found = await doctor(dir, { ORG_DIR: join(dir, 'org') });
    expect(tree(dir)).toEqual(before);
    expect(found.lines.filter(({ status }) => status !== 'ok' && status !== 'warn')).toEqual([]);
    expect(found.code).toBe(0);
    expect(found.of('volume')).toMatchObject([{ status: 'ok', text: expect.stringContaining('free') }]);
    expect(found.of('integrity')).toMatchObject([
      { status: 'ok', text: expect.stringMatching(/^whole; .* copied in/) },
    ]);
    expect(found.of('generation')).toMatchObject([
      { status: 'ok', text: expect.stringMatching(/^1-\w{16}, last .*Z$/) },
    ]);
    for (const name of ['settings', 'key', 'rename, fsync', 'clock', 'messages.db', 'damaged', 'size', 'claude'])
      expect(found.of(name)[0]).toMatchObject({ status: 'ok' });
    expect(found.of('claude')[0]?.text).toMatch(/\d+\.\d+\.\d+/);
  });

  it('a volume that is not there yet, and does not make it', async () => {
    const dir = temporaryFolder();
    const found = await doctor(dir);
    expect(found.code).toBe(0);
    expect(found.of('STORE_DIR')).toMatchObject([{ status: 'warn', text: expect.stringContaining('is not there') }]);
    expect(readdirSync(dir)).toEqual([]);
  });

  it('an empty volume', async () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, 'store'));
    const found = await doctor(dir);
    expect(found.code).toBe(0);
    expect(found.of('integrity')).toMatchObject([{ status: 'ok', text: expect.stringContaining('no database yet') }]);
    expect(tree(dir)).toEqual(['store']);
  });

  it('every faulty setting, and makes the other checks all the same', async () => {
    const dir = usedVolume();
    const { code, of, lines } = await doctor(dir, { PORT: 'abc', LOG_LEVEL: 'loud', API_TOKEN: `${secret} ${secret}` });
    expect(code).toBe(1);
    expect(of('settings').filter(({ status }) => status === 'fail')).toMatchObject([
      { text: expect.stringMatching(/^API_TOKEN is secret: must be/) },
      { text: expect.stringMatching(/^PORT is "abc": must be/) },
      { text: expect.stringMatching(/^LOG_LEVEL is "loud": must be/) },
    ]);
    expect(lines.filter(({ name, status }) => name !== 'settings' && status === 'fail')).toEqual([]);
    expect(of('integrity')).toMatchObject([{ status: 'ok' }]);
  });

  it('a volume that cannot be written, and looks at the rest', async () => {
    const dir = temporaryFolder();
    writeFileSync(join(dir, 'file'), '');
    const { code, of } = await doctor(dir, { STORE_DIR: join(dir, 'file/store') });
    expect(code).toBe(1);
    expect(of('STORE_DIR')).toMatchObject([
      {
        status: 'fail',
        text: `${join(dir, 'file/store')}: must be a folder; it, or a folder above it, is a file (ENOTDIR)`,
      },
    ]);
    expect(of('volume')).toMatchObject([{ status: 'skip' }]);
    expect(of('claude')).toMatchObject([{ status: 'ok' }]);
  });

  it('a sandbox that is wanted and cannot be', async () => {
    // Where there is no bubblewrap.
    const path = join(process.execPath, '..');
    const env = (SANDBOX: string) => ({ PATH: path, SANDBOX });
    const [on, auto, off] = await Promise.all(
      ['on', 'auto', 'off'].map((each) => doctor(temporaryFolder(), env(each))),
    );
    const text = 'there is none: bubblewrap (bwrap) is not installed; install it, and let it make namespaces';
    const fix = 'to do without it, set SANDBOX=auto';
    expect(on?.of('sandbox')).toMatchObject([{ status: 'fail', text: `${text}; ${fix}` }]);
    expect(auto?.of('sandbox')).toMatchObject([{ status: 'warn', text }]);
    expect(off?.of('sandbox')).toMatchObject([{ status: 'skip', text: 'SANDBOX is off' }]);
  });

  it('a local database that would be on the volume, and copies nothing there', async () => {
    const dir = usedVolume();
    const folder = join(dir, 'store/local');
    mkdirSync(folder);
    const seen = watchNames(folder);
    const { code, of } = await doctor(dir, { LOCAL_DB_PATH: join(folder, 'messages.db') });
    expect(code).toBe(1);
    expect(of('settings')[0]).toMatchObject({ status: 'fail', text: expect.stringContaining('LOCAL_DB_PATH') });
    expect(of('integrity')).toMatchObject([{ status: 'ok' }]);
    expect((await seen()).filter((name) => name.startsWith('picoclaw-doctor-'))).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a base that is damaged, and leaves it as it is', async () => {
    const dir = usedVolume();
    const base = basePath(generationOf(dir));
    const { size } = statSync(base);
    writeSync(openSync(base, 'r+'), Buffer.alloc(size - 4096, 0xa5), 0, size - 4096, 4096);
    const before = tree(dir);
    const { code, of } = await doctor(dir);
    expect(code).toBe(1);
    expect(of('integrity')).toMatchObject([{ status: 'fail', text: expect.stringContaining(`${base} is damaged`) }]);
    expect(tree(dir)).toEqual(before);
  });

  it('a log that ends before what was acknowledged', async () => {
    const dir = usedVolume();
    const log = walPath(generationOf(dir));
    writeFileSync(log, readFileSync(log).subarray(0, statSync(log).size - 4096));
    const { code, of } = await doctor(dir);
    expect(code).toBe(1);
    expect(of('integrity')).toMatchObject([{ status: 'fail', text: expect.stringContaining(`${log} is damaged`) }]);
  });

  it('a baton that is lost', async () => {
    const dir = usedVolume();
    rmSync(join(dir, 'store/baton'), { recursive: true });
    const { code, of } = await doctor(dir);
    expect(code).toBe(1);
    expect(of('volume')).toMatchObject([{ status: 'fail', text: expect.stringContaining('baton') }]);
    expect(of('integrity')).toMatchObject([{ status: 'skip' }]);
  });

  it('a file in the place of the link, and a generation that was put aside', async () => {
    const dir = usedVolume();
    rmSync(join(dir, 'store/messages.db'));
    writeFileSync(join(dir, 'store/messages.db'), 'mine');
    mkdirSync(join(dir, 'store/damaged-1-0123456789abcdef'));
    const { code, of } = await doctor(dir);
    expect(code).toBe(0);
    expect(of('messages.db')).toMatchObject([{ status: 'warn', text: expect.stringContaining('move it away') }]);
    expect(of('damaged')).toMatchObject([
      { status: 'warn', text: expect.stringContaining('damaged-1-0123456789abcdef') },
    ]);
  });

  it('an instance at work, and disturbs neither it nor its volume', async () => {
    const dir = temporaryFolder();
    await using server = await startServer({ model, dir });
    await server.chat({ message: 'hello' });
    const hold = model.fault({ kind: 'hold' });
    const answer = server.chat({ message: 'hello again' });
    await hold.reached;
    const generation = generationOf(dir);
    const { code, of } = await doctor(dir);
    expect(of('volume')).toMatchObject([
      { status: 'warn', text: expect.stringMatching(new RegExp(`:${server.pid} is at work on it .*would wait$`)) },
    ]);
    expect(of('integrity')).toMatchObject([{ status: 'ok' }]);
    expect(code).toBe(0);
    expect(generationOf(dir)).toBe(generation);
    hold.release();
    expect(await answer).toMatchObject({ status: 'success', result: 'Hello.' });
    expect(server.log().filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('an instance that is gone', async () => {
    const dir = temporaryFolder();
    await using server = await startServer({ model, dir });
    const hold = model.fault({ kind: 'hold' });
    const answer = server.chat({ message: 'hello' }).catch(() => null);
    await hold.reached;
    server.kill('SIGKILL');
    await server.exited;
    hold.release();
    await answer;
    const { code, of } = await doctor(dir);
    expect(of('volume')).toMatchObject([{ status: 'ok', text: expect.stringMatching(/free: \S+ is gone/) }]);
    expect(code).toBe(0);
  });

  it('a key that was copied with its quotes', async () => {
    const { code, of } = await doctor(temporaryFolder(), { ANTHROPIC_API_KEY: `"${secret}"` });
    expect(of('key')).toMatchObject([
      { status: 'fail', text: expect.stringContaining('ANTHROPIC_API_KEY has quotes') },
    ]);
    expect(code).toBe(1);
  });

  it('a file of MCP servers and skills that are faulty', async () => {
    const dir = temporaryFolder();
    mkdirSync(join(dir, 'org/skills/empty'), { recursive: true });
    writeFileSync(join(dir, 'org/managed-mcp.json'), '{');
    const { code, of } = await doctor(dir, { ORG_DIR: join(dir, 'org') });
    expect(of('MCP servers')).toMatchObject([{ status: 'fail', text: expect.stringContaining('line 1') }]);
    expect(of('skills')).toMatchObject([
      { status: 'ok' },
      { status: 'warn', text: expect.stringContaining('SKILLS_DIR/empty') },
    ]);
    expect(code).toBe(1);
  });
});

describe.skipIf(!isInMemory('/dev/shm'))('a volume in memory', () => {
  it('is told of by the doctor and by the server, which starts', async () => {
    const dir = temporaryFolder();
    const storeDir = mkdtempSync('/dev/shm/picoclaw-test-');
    onTestFinished(() => rmSync(storeDir, { recursive: true }));
    const said = `STORE_DIR (${storeDir}) is on tmpfs, which is gone with the machine: mount a persistent volume there`;
    const { code, of } = await doctor(dir, { STORE_DIR: storeDir });
    expect(of('mount')).toEqual([{ status: 'warn', name: 'mount', text: said }]);
    expect(code).toBe(0);
    await using server = await startServer({ model, dir, env: { STORE_DIR: storeDir } });
    expect(server.log()).toContainEqual(expect.objectContaining({ level: 'warn', msg: said }));
  });
});

function isInMemory(path: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${path} `) && statfsSync(path).type === 0x01021994;
}
