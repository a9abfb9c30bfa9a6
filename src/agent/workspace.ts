/**
 * What a claude process takes up of the workspace when it starts, and not again: the persona with what it imports, and the
 * skills. As one mark: while it is the same, a live process knows what a new one would.
 */

import { createHash } from 'node:crypto';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** What is not there or cannot be read is a part of the mark too: it never rejects. */
export async function markWorkspace(input: { memoryDir: string; sessionsDir: string }): Promise<string> {
  const hash = createHash('sha256');
  const [persona, skills] = await Promise.all([
    markFile(join(input.memoryDir, 'CLAUDE.md'), 0, new Set()),
    markSkills(join(input.sessionsDir, 'skills')),
  ]);
  return hash.update(JSON.stringify([persona, skills])).digest('hex');
}

/** As deep as the CLI follows imports. */
const maxImportDepth = 5;

/** `@path`, in the middle of a text. Too many are harmless: what is no file has an empty mark. */
const importReference = /(?:^|\s)@([^\s`'"()<>]+)/g;

async function markFile(path: string, depth: number, seen: Set<string>): Promise<unknown> {
  if (depth > maxImportDepth || seen.has(path)) return null;
  seen.add(path);
  const text = await readFile(path, 'utf8').catch(() => null);
  if (text === null) return null;
  const imports = [...text.matchAll(importReference)].map(([, reference = '']) =>
    reference.startsWith('~/') ? join(homedir(), reference.slice(2)) : resolve(dirname(path), reference),
  );
  return [text, await Promise.all(imports.map(async (each) => [each, await markFile(each, depth + 1, seen)]))];
}

/** The link that says which set is installed, and each `SKILL.md`: an agent may have written one since. */
async function markSkills(folder: string): Promise<unknown> {
  const [target, names] = await Promise.all([
    readlink(folder).catch(() => null),
    readdir(folder).catch((): string[] => []),
  ]);
  const marks = names.sort().map(async (name) => {
    const found = await stat(join(folder, name, 'SKILL.md')).catch(() => null);
    return [name, found === null ? null : [found.ctimeMs, found.size, found.ino]];
  });
  return [target, await Promise.all(marks)];
}
