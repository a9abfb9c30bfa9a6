/**
 * The folder of one session's claude process, on local disk: the CLI's configuration and a place for temporary files.
 *
 * Invariants:
 * 1. The configuration is made afresh at each start and belongs to one session: what an agent writes into it (settings with
 *    hooks, agents, plugins) reaches no other conversation, and not its own next process either.
 * 2. What must last is a link into the memory folder: transcripts, the agent's task lists, persona, skills.
 * 3. The path is the same for each process of a session, on any host with the same user and temporary folder: it is told to
 *    the model (with the persona, with a skill), and what the model was told must stay true and byte-equal.
 */

import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../lib/error-code.ts';

export type ProcessFolder = {
  path: string;
  /** For CLAUDE_CONFIG_DIR. */
  configDir: string;
  tempDir: string;
  /** What in it may not be written, where a sandbox can see to that. */
  sealed: string[];
  /** Whether a live process may be used again: nothing is in its configuration but what we and the CLI put there. */
  isAsMade(): Promise<boolean>;
  remove(): Promise<void>;
};

/** What of the CLI's configuration is kept in the sessions folder, by its names there. */
const kept = ['projects', 'tasks', 'file-history'];

/**
 * What the CLI writes by itself. Of it `shell-snapshots` is run, before each command of Bash, and a change of it cannot be told
 * from its making; `session-env` would be, but without hooks nothing is in it.
 */
const written = new Set([
  '.claude.json',
  '.last-cleanup',
  '.last-update-result.json',
  'backups',
  'cache',
  'debug',
  'plans',
  'plugins',
  'session-env',
  'sessions',
  'shell-snapshots',
  'statsig',
  'telemetry',
  'todos',
]);

/** Below it, a folder for each session. */
export function processFoldersIn(tempDir: string): string {
  return join(tempDir, `picoclaw-${process.getuid?.() ?? 0}`);
}

export async function makeProcessFolder(input: {
  /** By `processFoldersIn`. */
  root: string;
  sessionId: string;
  memoryDir: string;
  sessionsDir: string;
}): Promise<ProcessFolder> {
  const { root, sessionId, memoryDir, sessionsDir } = input;
  await makeRoot(root);
  const path = join(root, sessionId);
  const configDir = join(path, 'config');
  const tempDir = join(path, 'tmp');
  const links = new Map([
    ...kept.map((name) => [name, join(sessionsDir, name)] as const),
    ['skills', join(sessionsDir, 'skills')],
    ['CLAUDE.md', join(memoryDir, 'CLAUDE.md')],
  ]);
  await rm(path, { recursive: true, force: true });
  await Promise.all([configDir, tempDir].map((each) => mkdir(each, { recursive: true, mode: 0o700 })));
  // The agent may have put anything there: what is not to be had as a folder is the CLI's affair, and no reason not to start.
  await mkdir(sessionsDir).catch(() => undefined);
  await Promise.all(kept.map((name) => mkdir(join(sessionsDir, name)).catch(() => undefined)));
  await Promise.all([
    ...[...links].map(([name, target]) => symlink(target, join(configDir, name))),
    // Otherwise the CLI makes a random one, which the model API is told with each request.
    writeFile(join(configDir, '.claude.json'), JSON.stringify({ userID: sha256(sessionId) })),
    writeFile(join(configDir, settingsFile), noSettings),
    writeFile(join(path, ownerFile), thisProcess),
  ]);
  return {
    path,
    configDir,
    tempDir,
    sealed: [join(configDir, settingsFile)],
    isAsMade: async () => {
      const [names, hasSessionEnv, settings, ...targets] = await Promise.all([
        readdir(configDir).catch((): string[] => []),
        hasFiles(join(configDir, 'session-env')),
        readFile(join(configDir, settingsFile), 'utf8').catch(() => null),
        ...[...links.keys()].map((name) => readlink(join(configDir, name)).catch(() => null)),
      ]);
      const isKnown = (name: string) => links.has(name) || name === settingsFile || isWritten(name);
      return (
        settings === noSettings &&
        !hasSessionEnv &&
        [...links.values()].every((target, index) => targets[index] === target) &&
        names.every(isKnown)
      );
    },
    remove: async () => {
      // Another server may have the session now.
      const owner = await readFile(join(path, ownerFile), 'utf8').catch(() => null);
      if (owner === thisProcess) await rm(path, { recursive: true, force: true });
    },
  };
}

/** Removes the folders that killed servers have left here. Never rejects: what cannot be removed stays. */
export async function removeAbandonedFolders(root: string): Promise<void> {
  const names: string[] = await readdir(root).catch(() => []);
  for (const name of names) {
    const owner = await readFile(join(root, name, ownerFile), 'utf8').catch(() => null);
    if (owner !== null && !isAlive(owner))
      await rm(join(root, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

const settingsFile = 'settings.json';
const noSettings = '{}';

/** Has the process id of the server whose folder it is, and when that was started: in a container each start has the same id. */
const ownerFile = 'owner';
const thisProcess = `${process.pid} ${Math.round(performance.timeOrigin)}`;

/** Never rejects: what cannot be looked into may hold some. */
async function hasFiles(folder: string): Promise<boolean> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.some((entry) => !entry.isDirectory());
  } catch (error) {
    return codeOf(error) !== 'ENOENT';
  }
}

function isWritten(name: string): boolean {
  return written.has(name) || name.startsWith('.claude.json.');
}

/** It is where anybody may write: a folder that another user has put there is not used. */
async function makeRoot(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o700 });
  const found = await lstat(root);
  if (!found.isDirectory() || found.uid !== (process.getuid?.() ?? found.uid) || (found.mode & 0o077) !== 0)
    throw new Error(`${root} is not a folder of this user alone: remove it, or set TMPDIR to another folder`);
}

function isAlive(owner: string): boolean {
  const pid = Number.parseInt(owner, 10);
  if (pid === process.pid) return owner === thisProcess;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ESRCH');
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
