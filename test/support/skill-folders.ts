/**
 * The three sources of skills and a memory folder for one test, with the real `createSkills` over them.
 *
 *     const folders = makeSkillFolders();
 *     folders.writeSkill('org', 'invoices', { body: 'How to write one.' });
 *     const { effective } = await folders.skills.reload();
 */

import { existsSync, lutimesSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import { createSkills, type Skills } from '../../src/skills/skills.ts';
import { temporaryFolder } from './temporary-folder.ts';

export type SkillFolders = {
  skills: Skills;
  memoryDir: string;
  /** By tier; `run_time` is where the agent writes: the installed set. */
  dirs: Record<Where, string>;
  setsDir: string;
  log: string[];
  writeSkill(where: Where, name: string, skill?: SkillText): void;
  /** Any file below `where`, its folders included. */
  write(where: Where, path: string, text: string): void;
  /** The text of a file of an installed skill. */
  installed(path: string): string;
  /** The names in the installed set. */
  names(): string[];
  /** Where the link leads. */
  current(): string;
  /** Lets every set, and every copy that was cut off, look as if it had been made an hour ago. */
  ageSets(): void;
  /** What the warnings say of a skill. */
  warningsOf(result: { warnings: { skill: string; message: string }[] }, skill: string): string[];
};

export type Where = 'built_in' | 'org' | 'user' | 'run_time';
export type SkillText = { name?: string; description?: string; body?: string };

export function skillText(
  folder: string,
  { name = folder, description = `About ${folder}`, body = '' }: SkillText = {},
) {
  return `---\nname: ${name}\ndescription: ${description}\n---\n${body}\n`;
}

export function makeSkillFolders(
  input: { root?: string; betweenStarts?: <T>(work: () => Promise<T>) => Promise<T> } = {},
): SkillFolders {
  const root = input.root ?? temporaryFolder();
  const memoryDir = join(root, 'memory');
  const link = join(memoryDir, '.claude/skills');
  const setsDir = join(memoryDir, '.claude/skill-sets');
  const dirs = {
    built_in: join(root, 'built-in'),
    org: join(root, 'org'),
    user: join(memoryDir, 'skills'),
    run_time: link,
  };
  mkdirSync(memoryDir, { recursive: true });
  const log: string[] = [];
  const skills = createSkills({
    memoryDir,
    builtInDir: dirs.built_in,
    orgSkillsDir: dirs.org,
    betweenStarts: input.betweenStarts ?? ((work) => work()),
    log: pino({ base: null, formatters: { level: (level) => ({ level }) } }, { write: (line) => void log.push(line) }),
  });
  const write: SkillFolders['write'] = (where, path, text) => {
    const file = join(dirs[where], path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  return {
    skills,
    memoryDir,
    dirs,
    setsDir,
    log,
    write,
    writeSkill: (where, name, skill) => write(where, `${name}/SKILL.md`, skillText(name, skill)),
    installed: (path) => readFileSync(join(link, path), 'utf8'),
    names: () => readdirSync(link).sort(),
    current: () => readlinkSync(link),
    ageSets: () => {
      const hourAgo = Date.now() / 1000 - 3600;
      const names = (dir: string) => (existsSync(dir) ? readdirSync(dir) : []);
      for (const name of names(setsDir)) lutimesSync(join(setsDir, name), hourAgo, hourAgo);
      for (const name of names(dirs.user))
        if (name.startsWith('.picoclaw-')) lutimesSync(join(dirs.user, name), hourAgo, hourAgo);
    },
    warningsOf: ({ warnings }, skill) =>
      warnings.filter((warning) => warning.skill === skill).map(({ message }) => message),
  };
}
