/** Keeps the database of PicoClaw 1.x under a name of its own before the first sync replaces it. */

import { copyFile, link, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf, ifMissing } from '../../lib/error-code.ts';
import { flushFile, flushFolder } from './files.ts';

/**
 * `existed`: there was a file of that name already, which is never overwritten; the one found now is not kept a second time.
 * `gone`: somebody took the original away, so there is nothing left to be replaced.
 */
export type Kept = 'kept' | 'existed' | 'gone';

/** `temporary` is on the volume of `kept`. When this resolves, what is kept is flushed. */
export async function keepVersion1(input: { original: string; kept: string; temporary: string }): Promise<Kept> {
  const { original, kept, temporary } = input;
  const found = await stat(original).catch(ifMissing(null));
  if (found === null) return 'gone';
  const existing = await stat(kept).catch(ifMissing(null));
  // The same file under both names: a start before this one ended between the link and the replacement.
  if (existing !== null) return existing.ino === found.ino && existing.dev === found.dev ? 'kept' : 'existed';
  // A link costs nothing at any size; not every network file system has them.
  await link(original, kept).catch(async (error: unknown) => {
    if (codeOf(error) === 'EEXIST') return;
    await copyDurably(original, temporary, kept);
  });
  await flushFolder(dirname(kept));
  return 'kept';
}

async function copyDurably(original: string, temporary: string, target: string): Promise<void> {
  try {
    await copyFile(original, temporary);
    await flushFile(temporary);
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}
