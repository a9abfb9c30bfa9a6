/** Whether what lies in a folder of skills is one. Whatever the agent or an operator puts there, it cannot stop a reload. */

import type { Stats } from 'node:fs';
import { lstat, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { codeOf } from '../lib/error-code.ts';
import { parseSkillFile, type SkillFile } from './skill-file.ts';

/** `begun`: a folder that lacks its SKILL.md. */
export type Checked = SkillFile | { kind: 'begun'; fault: string };

/** More is no description for an agent. */
const maxBytes = 1_000_000;

/** Rejects only with a fault of the file system that is not the skill's own. */
export async function checkSkill(path: string): Promise<Checked> {
  const name = basename(path);
  if (name.startsWith('.')) return faulty('it is hidden, and what begins with a dot is never a skill');
  // The agent's program does not find these; it takes every other name.
  if (name !== name.trim() || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(name))
    return faulty('its name has white space at an end or a control character; rename the folder');

  const file = join(path, 'SKILL.md');
  const found = await look(file);
  if (found === null) {
    const folder = await look(path);
    if (typeof folder === 'string') return faulty(`it ${folder}`);
    if (folder === null || !folder.isDirectory()) return faulty('a skill is a folder with a SKILL.md in it');
    return { kind: 'begun', fault: 'it has no SKILL.md' };
  }
  if (typeof found === 'string') return faulty(`its SKILL.md ${found}`);
  // Reading a named pipe would never end.
  if (!found.isFile()) return faulty('its SKILL.md is not a file');
  if (found.size > maxBytes) return faulty(`its SKILL.md has more than ${maxBytes} bytes`);
  try {
    return parseSkillFile(await readFile(file, 'utf8'), name);
  } catch (error) {
    return faulty(`its SKILL.md ${requireOwnFault(error)}`);
  }
}

/** What a path leads to; null when nothing is there; a text when that cannot be told. */
export async function look(path: string): Promise<Stats | string | null> {
  try {
    return await stat(path);
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'ENOENT' && code !== 'ELOOP' && code !== 'ENOTDIR') return requireOwnFault(error);
    const isLink = await lstat(path).then(
      () => true,
      () => false,
    );
    return isLink ? 'is a link that leads nowhere' : null;
  }
}

/** What is wrong with a file itself, in words; any other error goes on: of a volume that is gone, say. */
export function requireOwnFault(error: unknown): string {
  const code = codeOf(error);
  if (code === 'EACCES' || code === 'EPERM') return `cannot be read (${code}); give the server's user the right to`;
  if (code === 'ENOENT') return 'went away while it was read';
  throw error;
}

function faulty(fault: string): Checked {
  return { kind: 'faulty', fault };
}
