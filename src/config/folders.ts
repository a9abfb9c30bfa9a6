/** The folders of the configuration, as the disk has them: made, really written to, or all that is wrong with them at once. */

import { randomUUID } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import type { Fault } from './read-setting.ts';
import { settings } from './settings.ts';

/** Absolute paths. */
export type Folders = {
  memoryDir: string;
  storeDir: string;
  orgDir: string | null;
  /** A file. */
  localDbPath: string;
  skillsDir: string;
  builtInSkillsDir: string;
};

/**
 * Creates the folders that are not there and really writes to them: a mode or a mount flag alone tells too little.
 *
 * `creates: false`: writes where a folder would be created, and leaves nothing behind.
 */
export async function checkFolders(config: Folders, { creates } = { creates: true }): Promise<Fault[]> {
  const { memoryDir, storeDir, orgDir, localDbPath } = config;
  const checkWritable = (variable: string, ...folders: string[]) => writeFault(variable, { folders, creates });
  const faults = await Promise.all([
    // A volume of an older installation may have `.claude` under another owner.
    checkWritable(settings.memoryDir.variable, memoryDir, join(memoryDir, '.claude')),
    checkWritable(settings.storeDir.variable, storeDir),
    checkWritable(settings.localDbPath.variable, dirname(localDbPath)),
    checkNoFolder(settings.localDbPath.variable, localDbPath),
    orgDir === null ? null : checkReadable(settings.orgDir.variable, orgDir),
    checkSource(settings.skillsDir.variable, config.skillsDir, memoryDir),
    checkSource(settings.builtInSkillsDir.variable, config.builtInSkillsDir, memoryDir),
  ]);
  const found = faults.filter((fault) => fault !== null);
  if (found.length === 0 && (await realPathOf(memoryDir)) === (await realPathOf(storeDir)))
    found.push({
      variable: settings.storeDir.variable,
      value: storeDir,
      fix: "must be another folder than MEMORY_DIR, which is the agent's to write",
    });
  return found;
}

/**
 * What GET /health says of the folders: after `checkFolders` found no fault, all but the skills are as they must be.
 */
export async function findVolumes(config: Pick<Folders, 'skillsDir'>) {
  const skills = await stat(config.skillsDir).catch(() => null);
  return { memory: true, skills: skills?.isDirectory() ?? false, sessions: true, store: true };
}

export function isInside(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** The fault of the first folder that has one. */
async function writeFault(
  variable: string,
  { folders, creates }: { folders: string[]; creates: boolean },
): Promise<Fault | null> {
  for (const folder of folders) {
    let probe: string | null = null;
    try {
      if (creates) await makeFolder(folder);
      probe = join(creates ? folder : await nearestFolder(folder), `.picoclaw-${randomUUID()}`);
      await writeFile(probe, 'x');
      await rm(probe);
    } catch (error) {
      if (probe !== null) await rm(probe, { force: true }).catch(() => undefined);
      return { variable, value: folder, fix: writeFix(error) };
    }
  }
  return null;
}

/** It, or the first above it that is there. */
async function nearestFolder(folder: string): Promise<string> {
  try {
    // A link that leads nowhere is there: nothing can be created in its place.
    await lstat(folder);
    return folder;
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || dirname(folder) === folder) throw error;
    return await nearestFolder(dirname(folder));
  }
}

async function realPathOf(folder: string): Promise<string> {
  return await realpath(folder).catch(() => folder);
}

/** Not node's own recursive `mkdir`: that never returns on a file system that answers ENOENT for a folder that it has (procfs). */
async function makeFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory()) return;
  if (dirname(folder) !== folder) await makeFolder(dirname(folder));
  await mkdir(folder).catch(async (error: unknown) => {
    // Two settings may share a folder above them, made at the same time.
    if (!(await stat(folder).catch(() => null))?.isDirectory()) throw error;
  });
}

/** A source of skills that is where user skills or the installed ones are would be installed into itself. */
async function checkSource(variable: string, folder: string, memoryDir: string): Promise<Fault | null> {
  const source = await realPathOf(folder);
  const memory = await realPathOf(memoryDir);
  const isTaken = ['skills', '.claude']
    .map((name) => join(memory, name))
    .some((taken) => isInside(`${source}${sep}`, taken));
  return isTaken
    ? {
        variable,
        value: folder,
        fix: "must not be in MEMORY_DIR/skills, which has the user's skills, or in MEMORY_DIR/.claude",
      }
    : null;
}

async function checkNoFolder(variable: string, path: string): Promise<Fault | null> {
  const found = await stat(path).catch(() => null);
  return found?.isDirectory() ? { variable, value: path, fix: 'must be the path of a file; this is a folder' } : null;
}

async function checkReadable(variable: string, folder: string): Promise<Fault | null> {
  try {
    await readdir(folder);
  } catch (error) {
    return { variable, value: folder, fix: `must be a folder that can be read (${codeOf(error)})` };
  }
  const persona = join(folder, 'CLAUDE.md');
  const code = await readFile(persona).then(() => null, codeOf);
  return code === null || code === 'ENOENT'
    ? null
    : { variable, value: folder, fix: `must have no CLAUDE.md that cannot be read (${code}): every run reads it` };
}

function writeFix(error: unknown): string {
  const code = codeOf(error);
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `give user ${process.getuid?.() ?? 'of the process'} the right to write there (${code})`;
    case 'EROFS':
      return `mount it writable (${code})`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `make room there (${code})`;
    case 'EEXIST':
    case 'ENOTDIR':
      return `must be a folder; it, or a folder above it, is a file (${code})`;
    default:
      return `must be a folder that can be written (${code})`;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
