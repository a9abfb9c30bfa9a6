/**
 * What a claude process takes up of the workspace when it starts, and not again: the persona with what it imports, and the
 * skills. As one mark: while it is the same, a live process knows what a new one would.
 */

import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir, readlink, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';

/** What is not there or cannot be read is a part of the mark too: it never rejects. */
export async function markWorkspace(input: { memoryDir: string; sessionsDir: string }): Promise<string> {
  const hash = createHash('sha256');
  const [persona, skills] = await Promise.all([
    markPersona(join(input.memoryDir, 'CLAUDE.md')),
    markSkills(join(input.sessionsDir, 'skills')),
  ]);
  return hash.update(JSON.stringify([persona, skills])).digest('hex');
}

/** As deep as the CLI follows imports. */
const maxImportDepth = 5;
/** Of files and bytes: the agent writes them, and they are read for each run. */
const maxFiles = 50;
const maxBytes = 1_000_000;

/** `@path`, a space in it as `\ `. Too many are harmless: what is no file has no text. */
const importReference = /(?<![A-Za-z0-9])@((?:[^\s\\]|\\ )+)/g;

/** What comes before the Markdown or HTML that follows a path: the CLI has taken that off when it looks for imports. */
const beforeMarkup = /^[^`'"()<>*|~[\]]*[^`'"()<>*|~[\]_]/;

/** Level by level, so that the same files come to the same mark, whichever is read first. */
async function markPersona(path: string): Promise<[string, string | null][]> {
  const marks = new Map<string, string | null>();
  let level = [path];
  for (let depth = 0; depth <= maxImportDepth && level.length > 0; depth += 1) {
    const texts = await Promise.all(level.map(async (each) => [each, await readText(each)] as const));
    for (const [each, text] of texts) marks.set(each, text);
    const next = texts.flatMap(([each, text]) => importsOf(each, text ?? ''));
    level = [...new Set(next)].filter((each) => !marks.has(each)).slice(0, maxFiles - marks.size);
  }
  return [...marks];
}

function importsOf(path: string, text: string): string[] {
  return [...text.matchAll(importReference)].flatMap(([, reference = '']) => {
    const whole = reference.replace(/#.*$/s, '').replaceAll('\\ ', ' ');
    const plain = beforeMarkup.exec(whole)?.[0] ?? whole;
    return [...new Set([whole, plain])].map((each) =>
      each.startsWith('~/') ? join(homedir(), each.slice(2)) : resolve(dirname(path), each),
    );
  });
}

/**
 * Null for what is no file, is too large, or cannot be read. Opened so that a pipe without a writer does not hold it up, and
 * no more is read than it has: what the kernel makes up (`/proc`) has no size, and may have no end.
 */
async function readText(path: string): Promise<string | null> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await file.stat();
    if (!found.isFile() || found.size > maxBytes) return null;
    const { size } = found;
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch {
    return null;
  }
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
