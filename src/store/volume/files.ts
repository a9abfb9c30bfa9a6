/** What `node:fs` lacks for files that must survive a power cut. */

import { open } from 'node:fs/promises';

/** Flushes a folder, without which a rename, a link or a new file in it can be undone by a crash. */
export async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

/** A new file, written and flushed. */
export async function writeFlushed(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx');
  await file.writeFile(text);
  await file.datasync();
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
