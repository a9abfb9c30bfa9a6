/**
 * A transcript → `conversations/<day>-<name>.md` in the memory folder, whole.
 *
 * - A file appears under its name whole or not at all, and never in the place of another: it is written under a temporary
 *   name and then linked to the first name that is free. Several processes may do so at once.
 * - The transcript is read line by line, so that its size costs neither memory nor the event loop.
 */

import { randomUUID } from 'node:crypto';
import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, ifMissing } from '../../lib/error-code.ts';
import { readLine } from './entries.ts';
import { followLines } from './lines.ts';
import { type ArchiveHead, makeEntryRenderer, renderHead } from './markdown.ts';
import { firstMessageOf, toArchiveStem } from './name.ts';

export type ArchiveInput = ArchiveHead & {
  memoryDir: string;
  transcriptPath: string;
  /** The transcript's ids that must have come before it counts as whole. It may grow. */
  awaited: ReadonlySet<string>;
  /** How long they may take. */
  waitMs: number;
  signal: AbortSignal;
};

/** The path has what was said in it, so it is not for the log. `missing`: how many of the awaited ids did not come. `unreadable`: lines that are no JSON. */
export type Archived = { path: string; missing: number; unreadable: number };

export async function archiveTranscript(input: ArchiveInput): Promise<Archived> {
  const folder = join(input.memoryDir, 'conversations');
  await mkdir(folder, { recursive: true });
  await removeLeftovers(folder);
  const temporary = join(folder, `.archive-${randomUUID()}`);
  try {
    const { first, ...written } = await write(temporary, input);
    const path = await place(temporary, join(folder, toArchiveStem({ ...input, first })));
    return { path, ...written };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Characters that are collected before they are written. */
const batchCharacters = 262_144;

async function write(path: string, input: ArchiveInput): Promise<{ first: string | null } & Omit<Archived, 'path'>> {
  const render = makeEntryRenderer(input.timezone);
  const seen = new Set<string>();
  const isMissing = (id: string) => !seen.has(id);
  let first: string | null = null;
  let unreadable = 0;
  await using file = await open(path, 'wx');
  const batch = new Batch(file);
  await batch.add(renderHead(input));
  const lines = followLines(input.transcriptPath, {
    isWhole: () => ![...input.awaited].some(isMissing),
    waitMs: input.waitMs,
    signal: input.signal,
  });
  for await (const line of lines) {
    const read = readLine(line);
    if (read === null) {
      unreadable += 1;
      continue;
    }
    if (read.id !== null) seen.add(read.id);
    for (const entry of read.entries) {
      if (entry.kind === 'user') first ??= firstMessageOf(entry.text);
      await batch.add(render(entry));
    }
  }
  if (unreadable > 0) await batch.add(`\n(${unreadable} lines of the transcript could not be read.)\n`);
  await batch.end();
  await file.sync();
  return { first, missing: [...input.awaited].filter(isMissing).length, unreadable };
}

class Batch {
  readonly #file: FileHandle;
  #text = '';

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async add(text: string): Promise<void> {
    this.#text += text;
    if (this.#text.length >= batchCharacters) await this.end();
  }

  async end(): Promise<void> {
    await this.#file.appendFile(this.#text);
    this.#text = '';
  }
}

async function place(temporary: string, stem: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const path = `${stem}${number === 1 ? '' : `-${number}`}.md`;
    try {
      await putUnder(temporary, path);
      return path;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
  }
}

/** Fails with EEXIST where there is a file of that name. */
async function putUnder(temporary: string, path: string): Promise<void> {
  try {
    await link(temporary, path);
  } catch (error) {
    if (!withoutLinks.has(codeOf(error) ?? '')) throw error;
    // The name is made ours by an empty file, which nobody else replaces; a crash right here leaves that.
    await (await open(path, 'wx')).close();
    await rename(temporary, path);
  }
}

/** How a file system says that it has no hard links, as some network file systems do. */
const withoutLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

const temporaryName = /^\.archive-[0-9a-f-]{36}$/;
/** Longer than any archive takes to write. */
const leftoverAfterMs = 3_600_000;

/** What a process that was killed has left. */
async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!temporaryName.test(name)) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(ifMissing(null));
    if (found !== null && found.mtimeMs < Date.now() - leftoverAfterMs) await rm(path, { force: true });
  }
}
