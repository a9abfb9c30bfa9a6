import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkFolders, findVolumes } from '../../src/config/folders.ts';
import { loadConfig } from '../../src/config.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'picoclaw-config-'));
});
afterEach(({ task }) => {
  if (task.result?.state !== 'fail') rmSync(dir, { recursive: true, force: true });
});

function config(env: Record<string, string> = {}) {
  const loaded = loadConfig(
    {
      ANTHROPIC_API_KEY: 'key',
      HOST: '127.0.0.1',
      MEMORY_DIR: join(dir, 'memory'),
      STORE_DIR: join(dir, 'store'),
      LOCAL_DB_PATH: join(dir, 'local', 'messages.db'),
      ...env,
    },
    { isRoot: false, isTerminal: false, homeDir: null },
  );
  if (loaded.faults.length > 0) throw new Error(JSON.stringify(loaded.faults));
  return loaded.config;
}

describe('checkFolders', () => {
  it('creates what is not there, finds no fault and leaves no trace', async () => {
    expect(await checkFolders(config({ MEMORY_DIR: join(dir, 'a/b/memory') }))).toEqual([]);
    expect(readdirSync(dir).sort()).toEqual(['a', 'local', 'store']);
    expect(readdirSync(join(dir, 'a/b/memory'))).toEqual(['.claude']);
    expect(readdirSync(join(dir, 'a/b/memory/.claude'))).toEqual([]);
    expect(readdirSync(join(dir, 'store'))).toEqual([]);
    expect(readdirSync(join(dir, 'local'))).toEqual([]);
  });

  it('makes nothing when only asked, and finds the same faults', async () => {
    expect(await checkFolders(config(), { creates: false })).toEqual([]);
    expect(readdirSync(dir)).toEqual([]);
    writeFileSync(join(dir, 'file'), '');
    symlinkSync(join(dir, 'nowhere'), join(dir, 'link'));
    const faulty = config({ MEMORY_DIR: join(dir, 'file/a/memory'), STORE_DIR: join(dir, 'link') });
    const found = await checkFolders(faulty, { creates: false });
    expect(found.map(({ variable }) => variable)).toEqual(['MEMORY_DIR', 'STORE_DIR']);
    expect((await checkFolders(faulty)).map(({ variable }) => variable)).toEqual(['MEMORY_DIR', 'STORE_DIR']);
  });

  it.each(['skills', 'skills/shared', '.claude/skills'])(
    'finds that SKILLS_DIR is where %s of the memory is',
    async (path) => {
      mkdirSync(join(dir, 'memory', path), { recursive: true });
      symlinkSync(join(dir, 'memory', path), join(dir, 'linked'));
      for (const value of [join(dir, 'memory', path), join(dir, 'linked')])
        expect(await checkFolders(config({ SKILLS_DIR: value }))).toMatchObject([
          { variable: 'SKILLS_DIR', value, fix: expect.stringContaining('must not be in MEMORY_DIR/skills') },
        ]);
      expect(await checkFolders(config({ SKILLS_DIR: join(dir, 'memory/skills-of-ours') }))).toEqual([]);
    },
  );

  it('finds that the CLAUDE.md of ORG_DIR cannot be read', async () => {
    mkdirSync(join(dir, 'org/CLAUDE.md'), { recursive: true });
    expect(await checkFolders(config({ ORG_DIR: join(dir, 'org') }))).toMatchObject([
      { variable: 'ORG_DIR', fix: expect.stringContaining('CLAUDE.md that cannot be read (EISDIR)') },
    ]);
  });

  it('tells every fault at once', async () => {
    for (const name of ['memory', 'store', 'local']) writeFileSync(join(dir, name), 'a file');
    const faults = await checkFolders(config({ ORG_DIR: join(dir, 'org') }));
    expect(faults.map(({ variable, value }) => [variable, value])).toEqual([
      ['MEMORY_DIR', join(dir, 'memory')],
      ['STORE_DIR', join(dir, 'store')],
      ['LOCAL_DB_PATH', join(dir, 'local')],
      ['ORG_DIR', join(dir, 'org')],
    ]);
    expect(faults[0]?.fix).toMatch(/must be a folder; it, or a folder above it, is a file/);
    expect(faults[3]?.fix).toMatch(/must be a folder that can be read \(ENOENT\)/);
  });

  it.each(['memory', 'store'])('finds that %s cannot be written, also where a mode would say it can', async (name) => {
    // procfs refuses new files to everyone, root included, as a read-only mount does.
    const variable = `${name.toUpperCase()}_DIR`;
    const faults = await checkFolders(config({ [variable]: '/proc/self/fdinfo' }));
    expect(faults[0]).toMatchObject({
      variable,
      value: '/proc/self/fdinfo',
      fix: expect.stringMatching(/\([A-Z]+\)$/),
    });
  });

  it('finds that .claude on a volume of before cannot be written', async () => {
    mkdirSync(join(dir, 'memory'));
    writeFileSync(join(dir, 'memory/.claude'), 'a file');
    expect(await checkFolders(config())).toMatchObject([
      { variable: 'MEMORY_DIR', value: join(dir, 'memory/.claude') },
    ]);
  });

  it.skipIf(process.getuid?.() === 0)(
    'finds that the mode of a folder forbids it, and tells whom to let in',
    async () => {
      mkdirSync(join(dir, 'store'));
      chmodSync(join(dir, 'store'), 0o500);
      expect(await checkFolders(config())).toMatchObject([
        { variable: 'STORE_DIR', fix: expect.stringContaining(`give user ${process.getuid?.()} the right to write`) },
      ]);
    },
  );

  it('finds that ORG_DIR is a file', async () => {
    writeFileSync(join(dir, 'org'), '');
    expect(await checkFolders(config({ ORG_DIR: join(dir, 'org') }))).toMatchObject([
      { variable: 'ORG_DIR', fix: expect.stringContaining('ENOTDIR') },
    ]);
  });

  it('finds that LOCAL_DB_PATH is a folder', async () => {
    mkdirSync(join(dir, 'local/messages.db'), { recursive: true });
    expect(await checkFolders(config())).toMatchObject([{ variable: 'LOCAL_DB_PATH' }]);
  });

  it('finds that MEMORY_DIR and STORE_DIR are the same folder, under two names too', async () => {
    expect(await checkFolders(config({ STORE_DIR: join(dir, 'memory') }))).toMatchObject([{ variable: 'STORE_DIR' }]);
    symlinkSync(join(dir, 'memory'), join(dir, 'alias'));
    expect(await checkFolders(config({ STORE_DIR: join(dir, 'alias') }))).toMatchObject([{ variable: 'STORE_DIR' }]);
  });
});

describe('findVolumes', () => {
  it('tells whether there are skills', async () => {
    const skills = join(dir, 'skills');
    expect(await findVolumes(config({ SKILLS_DIR: skills }))).toEqual({
      memory: true,
      skills: false,
      sessions: true,
      store: true,
    });
    mkdirSync(skills);
    expect(await findVolumes(config({ SKILLS_DIR: skills }))).toMatchObject({ skills: true });
  });
});
