/** Removes the archives of sessions whose conversation is deleted: those that still begin as they were written. */

import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ifMissing } from '../../lib/error-code.ts';
import { sessionOfArchive } from './markdown.ts';

/** More than any head has. */
const headBytes = 1_000;

/** Idempotent. */
export async function removeArchives(memoryDir: string, sessionIds: string[]): Promise<void> {
  const folder = join(memoryDir, 'conversations');
  const entries = await readdir(folder, { withFileTypes: true }).catch(ifMissing([]));
  // Only files: the folder is the agent's to write, and opening a named pipe would never end.
  for (const { name } of entries.filter((entry) => entry.isFile() && entry.name.endsWith('.md'))) {
    const path = join(folder, name);
    const sessionId = sessionOfArchive(await readHead(path).catch(ifMissing('')));
    if (sessionId !== null && sessionIds.includes(sessionId)) await rm(path, { force: true });
  }
}

async function readHead(path: string): Promise<string> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
  return buffer.toString('utf8', 0, bytesRead);
}
