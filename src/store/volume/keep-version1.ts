/**
 * Keeps the database of PicoClaw 1.x under a name of its own before the link to a generation takes its place: with the journal
 * that a kill left beside it, without which it is not whole.
 */

import { copyFile, link, open, rename, rm, stat } from 'node:fs/promises';
import { codeOf, ifMissing } from '../../lib/error-code.ts';
import type { Log } from '../../lib/log.ts';
import { flushFolder } from './files.ts';
import { flatPath, journalSuffixes, temporaryPath, version1Path } from './layout.ts';

/** A file that has that name already is never overwritten; the one found now is then kept in the new database alone. */
export async function keepVersion1(storeDir: string, log: Log): Promise<void> {
  const [original, kept] = [flatPath(storeDir), version1Path(storeDir)];
  const found = await stat(original);
  const existing = await stat(kept).catch(ifMissing(null));
  // The same file under both names: a start before this one was cut off.
  if (existing !== null && (existing.ino !== found.ino || existing.dev !== found.dev)) {
    log.warn({ path: kept }, 'the database of PicoClaw 1.x is not kept: the name is taken');
    return;
  }
  // The database last: once it has the name, it has its journal, too.
  for (const suffix of journalSuffixes)
    await keep(storeDir, `${original}${suffix}`, `${kept}${suffix}`).catch(ifMissing(undefined));
  await keep(storeDir, original, kept);
  await flushFolder(storeDir);
  log.info({ path: kept }, 'the database of PicoClaw 1.x is kept');
}

/** A link costs nothing at any size; not every network file system has them. */
async function keep(storeDir: string, original: string, kept: string): Promise<void> {
  await link(original, kept).catch(async (error: unknown) => {
    if (codeOf(error) !== 'EEXIST') await copyDurably(storeDir, original, kept);
  });
}

async function copyDurably(storeDir: string, original: string, target: string): Promise<void> {
  const temporary = temporaryPath(storeDir);
  try {
    await copyFile(original, temporary);
    {
      await using copy = await open(temporary, 'r');
      await copy.sync();
    }
    await rename(temporary, target);
  } finally {
    await rm(temporary, { force: true });
  }
}
