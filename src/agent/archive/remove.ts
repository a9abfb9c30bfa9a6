/**
 * Removes the archives of sessions whose conversation is deleted: those that still begin as they were written.
 *
 * The folder is the agent's too. A file there that cannot be read is none of ours, and keeps no conversation from being
 * deleted.
 */

import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { codeOf, ifMissing } from '../../lib/error-code.ts';
import { sessionOfArchive } from './markdown.ts';

/** More than a head has up to its session. */
const headBytes = 500;
/** Of thousands of archives; more of them at once are no faster. */
const readsAtOnce = 16;

/** Idempotent. */
export async function removeArchives(memoryDir: string, sessionIds: string[]): Promise<void> {
  const folder = join(memoryDir, 'conversations');
  const entries = await readdir(folder, { withFileTypes: true }).catch(ifMissing([]));
  // Only files: opening a named pipe would never end.
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.md'));
  const archives = await pLimit(readsAtOnce).map(files, async ({ name }) => {
    const path = join(folder, name);
    return { path, sessionId: sessionOfArchive(await readHead(path)) };
  });
  for (const { path, sessionId } of archives)
    if (sessionId !== null && sessionIds.includes(sessionId)) await rm(path, { force: true });
}

/** Empty for a file that is not ours to read. */
async function readHead(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    if (notOurs.has(codeOf(error) ?? '')) return '';
    throw error;
  }
}

/** Another's, or gone or a folder since the folder was listed. Whatever else fails may be better the next time. */
const notOurs = new Set(['EACCES', 'EPERM', 'ENOENT', 'EISDIR']);
