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

import { createReadStream } from 'node:fs';
import { lstat, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf, ifMissing } from '../lib/error-code.ts';
import { LineInPieces } from '../lib/line-in-pieces.ts';

export type TranscriptState = 'usable' | 'missing' | 'unusable';

/**
 * `unusable`: it has no message. A file with a message may still be refused by the CLI, which is then handled where it
 * is started. Reads no more than it needs, which is the first lines.
 */
export async function transcriptState(sessionsDir: string, sessionId: string): Promise<TranscriptState> {
  const paths = await transcriptPaths(sessionsDir, sessionId);
  if (paths.length === 0) return 'missing';
  for (const path of paths) if (await someLine(path, isMessageEntry)) return 'usable';
  return 'unusable';
}

/** Which of these prompts the session was sent. Reads the whole transcript. */
export async function promptsIn(sessionsDir: string, sessionId: string, promptIds: string[]): Promise<Set<string>> {
  const found = new Set<string>();
  for (const path of await transcriptPaths(sessionsDir, sessionId)) {
    await someLine(path, (line) => {
      // An id that is only mentioned in a message stands there as \"uuid\", so this finds the entries themselves.
      for (const id of promptIds) if (line.includes(`"uuid":"${id}"`)) found.add(id);
      return found.size === promptIds.length;
    });
  }
  return found;
}

/** Whether the transcript holds this message of the model: looked for at its end first, where the last one is. */
export async function holdsMessage(sessionsDir: string, sessionId: string, messageId: string): Promise<boolean> {
  const isIt = (line: string) => line.includes(messageId) && isMessageOf(line, messageId);
  for (const path of await transcriptPaths(sessionsDir, sessionId)) {
    const end = await readEnd(path);
    if (end.text.split('\n').some(isIt)) return true;
    if (!end.isWhole && (await someLine(path, isIt))) return true;
  }
  return false;
}

/** Deletes whatever is named after the session below the sessions folder and in the CLI's temporary folders. Idempotent. */
export async function deleteSession(
  places: { sessionsDir: string; tempDir: string },
  sessionId: string,
): Promise<void> {
  const { sessionsDir, tempDir } = places;
  // Of another user there may be one too, which is not ours to look into.
  const temporary = join(tempDir, `claude-${process.getuid?.() ?? 0}`);
  const parents = [sessionsDir, join(sessionsDir, 'projects'), temporary];
  for (const folder of (await Promise.all(parents.map(foldersOf))).flat()) {
    const names: string[] = await readdir(folder).catch(ifMissing([]));
    for (const name of names.filter((each) => isOf(sessionId, each))) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

async function transcriptPaths(sessionsDir: string, sessionId: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of await foldersOf(join(sessionsDir, 'projects'))) {
    const path = join(folder, `${sessionId}.jsonl`);
    // Whatever an agent has put there instead (a pipe, a device, a link to one) would never end to be read.
    const entry = await lstat(path).catch(ifMissing(null));
    if (entry?.isFile() || entry?.isDirectory()) found.push(path);
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

/**
 * Whether a line satisfies the predicate; reads no further than the first that does. What is no file, or is another
 * user's, has no line.
 */
async function someLine(path: string, predicate: (line: string) => boolean): Promise<boolean> {
  // In pieces until it has ended: an agent can write one that never does, and each look at it would cost more than the last.
  const line = new LineInPieces<string>(maxLineLength);
  try {
    // Leaving the loop early closes the file as well.
    for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: blockBytes })) {
      const [first = '', ...others] = String(chunk).split('\n');
      line.add(first);
      for (const next of others) {
        if (predicate(line.end().join(''))) return true;
        line.add(next);
      }
    }
  } catch (error) {
    if (isNoFile(error)) return false;
    throw error;
  }
  return predicate(line.end().join(''));
}

/** Of one that the CLI has written: the model API takes 32 MB. A longer one counts as empty. */
const maxLineLength = 100_000_000;

/** A line with a large tool result is as long as that: blocks of this size keep the work on it small. */
const blockBytes = 1_048_576;

async function readEnd(path: string): Promise<{ text: string; isWhole: boolean }> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const from = Math.max(0, size - blockBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    return { text: buffer.toString('utf8', 0, bytesRead), isWhole: from === 0 };
  } catch (error) {
    if (isNoFile(error)) return { text: '', isWhole: true };
    throw error;
  }
}

function isNoFile(error: unknown): boolean {
  return ['EISDIR', 'ENOENT', 'EACCES', 'EPERM'].includes(codeOf(error) ?? '');
}

const messageEntry = z.looseObject({ type: z.literal('assistant'), message: z.looseObject({ id: z.string() }) });

function isMessageOf(line: string, messageId: string): boolean {
  const entry = messageEntry.safeParse(parseJson(line));
  return entry.success && entry.data.message.id === messageId;
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
