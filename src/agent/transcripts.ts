/**
 * The files that the CLI keeps of a session: its transcript, its large tool results, its bookkeeping.
 *
 * A transcript is `projects/<slug of the working directory>/<session>.jsonl`, one entry a line. The slug is not
 * computed but searched for, because the CLI resumes a session from wherever it finds it: a moved MEMORY_DIR leaves
 * its transcripts under the old slug, and they go on to work.
 *
 * A folder that cannot be read is an error, never a missing transcript: a conversation must not lose its session to a
 * passing fault of the volume.
 */

import { open, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { ifMissing } from '../lib/error-code.ts';

export type TranscriptState = 'usable' | 'missing' | 'unusable';

/**
 * `unusable`: it has no message. A file with a message may still be refused by the CLI, which is then handled where it
 * is started. Reads no more than it needs, which is the first lines.
 */
export async function transcriptState(configDir: string, sessionId: string): Promise<TranscriptState> {
  const paths = await transcriptPaths(configDir, sessionId);
  if (paths.length === 0) return 'missing';
  for (const path of paths) if (await someLine(path, isMessageEntry)) return 'usable';
  return 'unusable';
}

/** Which of these prompts the session was sent. Reads the whole transcript. */
export async function promptsIn(configDir: string, sessionId: string, promptIds: string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const path of await transcriptPaths(configDir, sessionId)) {
    await someLine(path, (line) => {
      // An id that is only mentioned in a message stands there as \"uuid\", so this finds the entries themselves.
      for (const id of promptIds) if (line.includes(`"uuid":"${id}"`)) found.add(id);
      return found.size === promptIds.length;
    });
  }
  return found;
}

/**
 * Whether the transcript holds anything that the model said after this prompt. Reads the end of the file only: a turn
 * that is longer has been written to that far.
 */
export async function holdsReply(configDir: string, sessionId: string, promptId: string): Promise<boolean> {
  for (const path of await transcriptPaths(configDir, sessionId)) {
    const lines = (await readEnd(path)).split('\n').reverse();
    for (const line of lines) {
      if (line.includes(`"uuid":"${promptId}"`)) break;
      if (isReplyEntry(line)) return true;
    }
  }
  return false;
}

/** Deletes whatever is named after the session below the config directory and in the CLI's temporary folders. Idempotent. */
export async function deleteSession(places: { configDir: string; tempDir: string }, sessionId: string): Promise<void> {
  const { configDir, tempDir } = places;
  const temporary = (await foldersOf(tempDir)).filter((path) => basename(path).startsWith('claude-'));
  const parents = [configDir, join(configDir, 'projects'), ...temporary];
  for (const folder of (await Promise.all(parents.map(foldersOf))).flat()) {
    const names: string[] = await readdir(folder).catch(ifMissing([]));
    for (const name of names.filter((each) => isOf(sessionId, each))) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

async function transcriptPaths(configDir: string, sessionId: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of await foldersOf(join(configDir, 'projects'))) {
    const names: string[] = await readdir(folder).catch(ifMissing([]));
    if (names.includes(`${sessionId}.jsonl`)) found.push(join(folder, `${sessionId}.jsonl`));
  }
  return found;
}

async function foldersOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(ifMissing([]));
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}

/** `<session>`, `<session>.jsonl`, `<session>-agent-….json` and the like. */
function isOf(sessionId: string, name: string): boolean {
  return name.startsWith(sessionId) && !/^[0-9a-f]/i.test(name.slice(sessionId.length));
}

/** Whether a line satisfies the predicate; reads no further than the first that does. */
async function someLine(path: string, predicate: (line: string) => boolean): Promise<boolean> {
  const file = await open(path);
  if (!(await file.stat()).isFile()) {
    await file.close();
    return false;
  }
  // Ending the loop early closes the file as well.
  for await (const line of file.readLines()) if (predicate(line)) return true;
  return false;
}

const endBytes = 1_048_576;

async function readEnd(path: string): Promise<string> {
  await using file = await open(path);
  const stats = await file.stat();
  if (!stats.isFile()) return '';
  const { size } = stats;
  const from = Math.max(0, size - endBytes);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
  return buffer.toString('utf8', 0, bytesRead);
}

const replyEntry = z.looseObject({ type: z.literal('assistant'), message: z.looseObject({ model: z.string() }) });

/** What the model said, not the filler by which the CLI closes a turn that was cut. */
function isReplyEntry(line: string): boolean {
  const entry = replyEntry.safeParse(parseJson(line));
  return entry.success && entry.data.message.model !== '<synthetic>';
}

/** A line that is a whole JSON object with a message in it. A file that was cut off or overwritten may have none. */
function isMessageEntry(line: string): boolean {
  const entry = parseJson(line);
  return typeof entry === 'object' && entry !== null && 'message' in entry && 'uuid' in entry;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
