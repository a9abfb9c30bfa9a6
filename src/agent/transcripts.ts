/**
 * The files that the CLI keeps of a session: its transcript, its large tool results, its bookkeeping.
 *
 * A transcript is `projects/<slug of the working directory>/<session>.jsonl`, one entry a line. The slug is not
 * computed but searched for, because the CLI resumes a session from wherever it finds it: a moved MEMORY_DIR leaves
 * its transcripts under the old slug, and they go on to work.
 */

import { readdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

export type TranscriptState = 'usable' | 'missing' | 'unusable';

export type Transcript = {
  state: TranscriptState;
  /** Whether the session was sent the prompt with this id. */
  holds(promptId: string): boolean;
};

/**
 * Reads the session's transcript, if there is one. `unusable`: it has no message, or it cannot be read.
 * A file with a message may still be refused by the CLI, which is then handled where it is started.
 */
export async function readTranscript(configDir: string, sessionId: string): Promise<Transcript> {
  const paths = await transcriptPaths(configDir, sessionId);
  const files = await Promise.all(paths.map((path) => readFile(path).catch(() => Buffer.alloc(0))));
  const entries = Buffer.concat(files);
  return {
    state: paths.length === 0 ? 'missing' : hasMessage(entries) ? 'usable' : 'unusable',
    // An id that is only mentioned in a message stands there as \"uuid\", so this finds the entries themselves.
    holds: (promptId) => entries.includes(`"uuid":"${promptId}"`),
  };
}

/** Deletes whatever is named after the session below the config directory and in the CLI's temporary folders. Idempotent. */
export async function deleteSession(places: { configDir: string; tempDir: string }, sessionId: string): Promise<void> {
  const { configDir, tempDir } = places;
  const temporary = (await foldersOf(tempDir)).filter((path) => basename(path).startsWith('claude-'));
  const parents = [configDir, join(configDir, 'projects'), ...temporary];
  for (const folder of (await Promise.all(parents.map(foldersOf))).flat()) {
    const names: string[] = await readdir(folder).catch(() => []);
    for (const name of names.filter((each) => isOf(sessionId, each))) {
      await rm(join(folder, name), { recursive: true, force: true });
    }
  }
}

async function transcriptPaths(configDir: string, sessionId: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of await foldersOf(join(configDir, 'projects'))) {
    const names: string[] = await readdir(folder).catch(() => []);
    if (names.includes(`${sessionId}.jsonl`)) found.push(join(folder, `${sessionId}.jsonl`));
  }
  return found;
}

async function foldersOf(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}

/** `<session>`, `<session>.jsonl`, `<session>-agent-….json` and the like. */
function isOf(sessionId: string, name: string): boolean {
  return name.startsWith(sessionId) && !/^[0-9a-f]/i.test(name.slice(sessionId.length));
}

/** A line that is a whole JSON object with a message in it. A file that was cut off or overwritten may have none. */
function hasMessage(text: Buffer): boolean {
  for (let start = 0; start < text.length; ) {
    const end = text.indexOf(0x0a, start);
    const line = text.toString('utf8', start, end === -1 ? text.length : end);
    if (isMessageEntry(line)) return true;
    if (end === -1) return false;
    start = end + 1;
  }
  return false;
}

function isMessageEntry(line: string): boolean {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'object' && entry !== null && 'message' in entry && 'uuid' in entry;
  } catch {
    return false;
  }
}
