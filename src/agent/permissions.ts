/**
 * What the file tools may not touch; pure. Absolute paths in gitignore's syntax; they hold in bypass mode too.
 *
 * - Another conversation's session, which lies in the same sessions folder. A session's own large tool results lie
 *   there as well, and the CLI tells the model to read them there, so its own folder stays open. A rule has no
 *   exceptions, hence one for each of the first eight places of the id: all folders that differ in that place.
 * - The settings, which can hold hooks: commands that would run in every later conversation.
 *
 * - The server's own files (its database and volume, a `.env`) and what the kernel tells of processes.
 *
 * This keeps conversations apart that mean no harm, and the file tools from the server. It does not hold back Bash, which
 * reads what the process may read: that is the sandbox's affair.
 */

import { join } from 'node:path';

export function makeDenyRules(input: DenyInput): string[] {
  const { sessionId } = input;
  const cwd = literally(input.cwd);
  const sessionsDir = literally(input.sessionsDir);
  const configDir = literally(input.configDir);
  const sessions = [
    'projects/**/*.jsonl',
    ...othersThan(sessionId).map((folder) => `projects/*/${folder}/**`),
    // Of live processes, with the tokens by which they can be spoken to.
    'sessions/**',
  ];
  const settings = ['settings.json', 'settings.local.json'];
  const closed = [
    '/proc/**',
    ...input.hidden.map(literally).flatMap((path) => [path, `${path}/**`]),
    ...[sessionsDir, configDir].flatMap((folder) => sessions.map((path) => `${folder}/${path}`)),
  ];
  return [
    // A rule's path is absolute with one slash more.
    ...closed.flatMap((path) => [`Read(/${path})`, `Edit(/${path})`]),
    ...[join(cwd, '.claude'), configDir].flatMap((folder) => settings.map((name) => `Edit(/${folder}/${name})`)),
  ];
}

export type DenyInput = {
  cwd: string;
  sessionsDir: string;
  /** The process's own. */
  configDir: string;
  sessionId: string;
  /** The server's own files and folders. */
  hidden: string[];
};

/** Patterns that match every UUID but this one (and its like in eight digits). The CLI knows sets, but not `[^…]`. */
function othersThan(sessionId: string): string[] {
  return [...sessionId.slice(0, 8)].map((digit, place) => {
    return `${sessionId.slice(0, place)}[${'0123456789abcdef'.replace(digit, '')}]*`;
  });
}

/** In a pattern brackets are a set of characters and a backslash is none: any character stands for them, which never denies less. */
function literally(path: string): string {
  return path.replace(/[[\]\\]/g, '?');
}
