/**
 * A reload that is cut off at any of its steps, or has any of them fail: the installed set is the old or the new one,
 * whole, nothing of the agent's is lost, and the next reload comes to the same end as one that was never disturbed.
 */

import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { makeSkillFolders, type SkillFolders, skillText } from '../support/skill-folders.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/**
 * Counts the steps: every call of the file system that writes. From `at` on nothing is done any more (`dies`), or that one
 * fails with a code of its kind: of a fault of the volume, or as another instance brings it about.
 */
type Mode = 'dies' | 'EIO' | 'ENOENT' | 'EEXIST' | 'EXDEV';
const steps = vi.hoisted(() => ({
  count: 0,
  at: Number.POSITIVE_INFINITY,
  mode: 'dies' as Mode,
  writing: ['copyFile', 'cp', 'mkdir', 'rename', 'rm', 'rmdir', 'symlink', 'writeFile'],
}));

vi.mock('node:fs/promises', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs/promises')>();
  const guarded = Object.entries(real).map(([name, member]: [string, unknown]) => {
    if (typeof member !== 'function') return [name, member];
    const call = async (...args: unknown[]) => {
      const isWriting = steps.writing.includes(name);
      const step = isWriting ? steps.count++ : steps.count - 0.5;
      if (isWriting && step === steps.at && steps.mode === 'dies') doHalf(name, args);
      if (step === steps.at || (step > steps.at && steps.mode === 'dies')) {
        // A single file that cannot be copied is the fault of its skill.
        const code = name === 'copyFile' ? 'ENOSPC' : steps.mode === 'dies' ? 'EIO' : steps.mode;
        throw Object.assign(new Error(`${name} was cut off`), { code });
      }
      return await Reflect.apply(member, real, args);
    };
    return [name, call];
  });
  return Object.fromEntries(guarded);
});

/** What a step that takes more than an instant may leave when it is cut off. */
function doHalf(name: string, [path, other]: unknown[]): void {
  if (typeof path !== 'string') return;
  if (name === 'writeFile' && typeof other === 'string') writeFileSync(path, other.slice(0, other.length / 2));
  if (name === 'copyFile' && typeof other === 'string') writeFileSync(other, readFileSync(path).subarray(0, 10));
  if (name === 'rm' && existsSync(path) && lstatSync(path).isDirectory())
    rmSync(join(path, readdirSync(path)[0] ?? 'none'), { recursive: true, force: true });
  if (name === 'cp' && typeof other === 'string') {
    mkdirSync(other);
    const first = readdirSync(path)[0] ?? 'none';
    cpSync(join(path, first), join(other, first), { recursive: true });
  }
}

type Scenario = {
  /** Everything up to the reload that is disturbed. */
  prepare(folders: SkillFolders): Promise<void>;
  /** The texts of the skills that are copies, before it and after it. */
  before: Record<string, string>;
  after: Record<string, string>;
  /** Of the user skills, afterwards. */
  user: Record<string, string>;
  /** A folder cannot be replaced by a link in one step. */
  mayBeMissing?: true;
  /** Which codes to try, one scenario each, for the time that it takes. */
  codes: Mode[];
};

const scenarios: Record<string, Scenario> = {
  'with the sources changed and skills made, edited and rewritten by the agent': {
    prepare: async (folders) => {
      folders.writeSkill('built_in', 'notes', { body: 'One.' });
      folders.writeSkill('org', 'invoices', { body: 'One.' });
      folders.writeSkill('org', 'revoked', { body: 'One.' });
      for (const name of ['greet', 'recipes']) folders.writeSkill('user', name, { body: 'Old.' });
      await folders.skills.reload();
      folders.writeSkill('built_in', 'notes', { body: 'Two.' });
      folders.writeSkill('org', 'invoices', { body: 'Two.' });
      folders.write('org', 'invoices/terms.md', 'Two.');
      rmSync(join(folders.dirs.org, 'revoked'), { recursive: true });
      folders.writeSkill('run_time', 'recipes', { body: 'Edited.' });
      rmSync(join(folders.dirs.run_time, 'greet'));
      folders.writeSkill('run_time', 'greet', { body: 'Rewritten.' });
      folders.writeSkill('run_time', 'weather', { body: 'Made.' });
      folders.write('run_time', 'weather/more.md', 'Made.');
    },
    before: { notes: 'One.', invoices: 'One.', revoked: 'One.' },
    after: { notes: 'Two.', invoices: 'Two.' },
    user: { greet: 'Rewritten.', recipes: 'Edited.', weather: 'Made.' },
    codes: ['ENOENT', 'EXDEV'],
  },
  'of a volume of 1.x': {
    prepare: async (folders) => {
      folders.writeSkill('built_in', 'notes', { body: 'One.' });
      folders.writeSkill('user', 'recipes', { body: 'Kept.' });
      folders.writeSkill('run_time', 'notes', { body: 'One.' });
      folders.writeSkill('run_time', 'recipes', { body: 'Kept.' });
      folders.writeSkill('run_time', 'weather', { body: 'Made.' });
    },
    before: { notes: 'One.' },
    after: { notes: 'One.' },
    user: { recipes: 'Kept.', weather: 'Made.' },
    mayBeMissing: true,
    codes: ['EEXIST'],
  },
  'with .claude on another file system': {
    prepare: async (folders) => {
      const far = mkdtempSync('/dev/shm/picoclaw-test-');
      onTestFinished(() => rmSync(far, { recursive: true, force: true }));
      symlinkSync(far, join(folders.memoryDir, '.claude'));
      folders.writeSkill('built_in', 'notes', { body: 'One.' });
      folders.writeSkill('user', 'greet', { body: 'Old.' });
      await folders.skills.reload();
      folders.writeSkill('built_in', 'notes', { body: 'Two.' });
      rmSync(join(folders.dirs.run_time, 'greet'));
      folders.writeSkill('run_time', 'greet', { body: 'Rewritten.' });
      folders.write('run_time', 'greet/more.md', 'Rewritten.');
      folders.writeSkill('run_time', 'weather', { body: 'Made.' });
    },
    before: { notes: 'One.' },
    after: { notes: 'Two.' },
    user: { greet: 'Rewritten.', weather: 'Made.' },
    codes: [],
  },
};

describe.each(Object.entries(scenarios))('a reload %s', (_, scenario) => {
  it.each<[string, Mode]>([
    ['is cut off at any step that writes', 'dies'],
    ['has any step that writes fail for a fault of the volume', 'EIO'],
    ...scenario.codes.map((code): [string, Mode] => [`has any step that writes fail with ${code}`, code]),
  ])(
    '%s: the set is the old or the new one, and the next reload loses nothing',
    async (_, mode) => {
      const root = temporaryFolder();
      const undisturbed = await run(scenario, { root: join(root, 'undisturbed'), at: Number.POSITIVE_INFINITY, mode });
      expect(undisturbed.outcome).toBe('reloaded');
      expect(undisturbed.steps).toBeGreaterThan(10);
      for (let at = 0; at < undisturbed.steps; at += 1) {
        const { folders, outcome } = await run(scenario, { root: join(root, `${at}`), at, mode });
        const { before, after } = scenario;
        const copies = Object.keys({ ...before, ...after });
        const where = `${mode} at step ${at} of ${undisturbed.steps}, in ${folders.memoryDir}`;
        const allowed = outcome === 'reloaded' ? [after] : [before, after];
        const found = copiesIn(folders, copies);
        if (found === null) expect(scenario.mayBeMissing, `no set, ${where}`).toBe(true);
        else expect(allowed, `the set, ${where}`).toContainEqual(found);

        folders.ageSets();
        const { user, warnings } = await folders.skills.reload();
        expect(copiesIn(folders, copies), `after the next reload, ${where}`).toEqual(after);
        expect(user, where).toEqual(Object.keys(scenario.user).sort());
        for (const [name, body] of Object.entries(scenario.user))
          expect(readFileSync(join(folders.dirs.user, name, 'SKILL.md'), 'utf8'), where).toBe(
            skillText(name, { body }),
          );
        expect(
          warnings.filter(({ message }) => message.includes('is skipped')),
          where,
        ).toEqual([]);
        expect(readdirSync(folders.dirs.user).sort(), `left in the memory folder, ${where}`).toEqual(user);
        const left = readdirSync(folders.setsDir);
        const built = new Set(left.filter((name) => !/^(found|later)-/.test(name)).map((name) => name.slice(0, 36)));
        expect(built.size, `the new set and the one before it in ${left.join(', ')}, ${where}`).toBeLessThanOrEqual(2);
        // What was taken over goes later, because it has a manifest.
        const settled = left.filter((name) => /^(found|later)-[^.]*$/.test(name)).map((name) => `${name}.json`);
        expect(left, where).toEqual(expect.arrayContaining(settled));
        rmSync(join(root, `${at}`), { recursive: true });
      }
    },
    300_000,
  );
});

/** The reload of the scenario, disturbed. Whoever was cut off does nothing any more. */
async function run(scenario: Scenario, { root, ...disturbed }: { root: string; at: number; mode: Mode }) {
  const folders = makeSkillFolders({ root });
  await scenario.prepare(folders);
  steps.count = 0;
  Object.assign(steps, disturbed);
  try {
    await folders.skills.reload();
    return { folders, outcome: 'reloaded', steps: steps.count };
  } catch (error) {
    expect(error).toMatchObject({ code: 'skills_failed' });
    return { folders, outcome: 'failed', steps: steps.count };
  } finally {
    steps.at = Number.POSITIVE_INFINITY;
  }
}

/** What the installed set says of these skills; null when nothing is in its place. */
function copiesIn(folders: SkillFolders, names: string[]): Record<string, string> | null {
  if (!existsSync(folders.dirs.run_time)) return null;
  const texts = names
    .filter((name) => existsSync(join(folders.dirs.run_time, name)))
    .map((name) => [name, folders.installed(`${name}/SKILL.md`).split('\n').at(-2)]);
  return Object.fromEntries(texts);
}
