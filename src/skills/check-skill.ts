/** Whether what lies in a folder of skills is one. Whatever the agent or an operator puts there, it cannot stop a reload. */

import { lstat, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../lib/error-code.ts';
import { readHead } from './read-head.ts';
import { maxFrontMatter, parseSkillFile, type SkillFile } from './skill-file.ts';

/** `unfinished`: a folder that lacks its SKILL.md. */
export type CheckedSkill = SkillFile | { kind: 'unfinished'; fault: string };

/** More is no description for an agent. */
const maxBytes = 1_000_000;

export async function checkSkill(path: string): Promise<CheckedSkill> {
  const name = basename(path);
  if (name.startsWith('.')) return faulty('it is hidden, and what begins with a dot is never a skill');
  // The agent's program does not find these; it takes every other name.
  if (name !== name.trim() || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name))
    return faulty('its name has white space at an end or a control character; rename the folder');
  if (isMisread(name)) return faulty('its name is not UTF-8; rename the folder');

  const file = join(path, 'SKILL.md');
  try {
    if (!(await stat(path)).isDirectory()) return faulty('a skill is a folder with a SKILL.md in it');
  } catch (error) {
    return faulty(`it ${await faultOf(path, error)}`);
  }
  try {
    const found = await stat(file);
    // Reading a named pipe would never end.
    if (!found.isFile()) return faulty('its SKILL.md is not a file');
    if (found.size > maxBytes) return faulty(`its SKILL.md has more than ${maxBytes} bytes`);
    return parseSkillFile(await readHead(file, maxFrontMatter), name);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && (await lstat(file).catch(() => null)) === null)
      return { kind: 'unfinished', fault: 'it has no SKILL.md' };
    return faulty(`its SKILL.md ${await faultOf(file, error)}`);
  }
}

/** Node reads bytes that are no UTF-8 as this character, and then does not find the file. */
export function isMisread(name: string): boolean {
  return name.includes('\uFFFD');
}

/** What is wrong with a file that could not be read, in words. */
export async function faultOf(path: string, error: unknown): Promise<string> {
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM') return `cannot be read (${code}); give the server's user the right to`;
  const found = await lstat(path).catch(() => null);
  if (found?.isSymbolicLink() && (code === 'ENOENT' || code === 'ELOOP' || code === 'ENOTDIR'))
    return 'is a link that leads nowhere';
  return found === null && code === 'ENOENT' ? 'is not there any more' : `cannot be read (${code ?? String(error)})`;
}

function faulty(fault: string): CheckedSkill {
  return { kind: 'faulty', fault };
}
