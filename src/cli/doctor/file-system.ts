/** The checks of the file system that STORE_DIR is on: what it is, whether it does what durability rests on, and its clock. */

import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isGone } from '../../lib/error-code.ts';
import { flushFolder, writeFlushed } from '../../store/volume/files.ts';
import { temporaryPath } from '../../store/volume/layout.ts';
import { readFileClock } from '../../store/volume/lease.ts';
import { findMount, judgeMount, type Mount } from '../../store/volume/mount.ts';
import { type Check, type Finding, fail, inTime, ok, skip, warn } from './finding.ts';

export function fileSystemChecks(storeDir: string): Check[] {
  const ifThere = (run: () => Promise<Finding[]>) => async () =>
    (await isFolder(storeDir)) ? await run() : [skip(`${storeDir} is not there`)];
  return [
    { name: 'mount', run: async () => [describeMount(await findMount(storeDir), storeDir)] },
    { name: 'rename, fsync', run: ifThere(async () => [await tryRename(storeDir)]) },
    { name: 'clock', run: ifThere(async () => [await checkClock(storeDir)]) },
  ];
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}

export function describeMount(mount: Mount | null, storeDir: string): Finding {
  if (mount === null) return skip('this system does not say what is mounted where');
  const verdict = judgeMount(mount);
  switch (verdict.kind) {
    case 'fit':
      return ok(`${mount.type}, ${mount.source} on ${mount.mountPoint}`);
    case 'ephemeral':
      return warn(`STORE_DIR (${storeDir}) ${verdict.reason}`);
    case 'refused':
    case 'unsafe':
      return fail(`STORE_DIR (${storeDir}) ${verdict.reason}`);
    default:
      return verdict satisfies never;
  }
}

/** A server that starts at the same time clears temporary names away. */
const maxTries = 3;

async function tryRename(storeDir: string): Promise<Finding> {
  for (let tries = 1; ; tries += 1) {
    const folder = temporaryPath(storeDir);
    try {
      const startedAt = performance.now();
      await mkdir(folder);
      const fault = await renameFault(folder);
      const took = inTime(performance.now() - startedAt);
      if ((await isFolder(folder)) || tries === maxTries)
        return fault === null
          ? ok(`both work (${took} for six steps)`)
          : fail(`${storeDir} ${fault}: use another volume`);
    } catch (error) {
      if (!isGone(error) || tries === maxTries) throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/** What the baton needs: the name moves with its file, replaces another, and is then not there to be moved again. */
async function renameFault(folder: string): Promise<string | null> {
  const [one, other, third] = [join(folder, 'one'), join(folder, 'other'), join(folder, 'third')];
  await writeFlushed(one, 'one');
  await writeFlushed(other, 'other');
  await flushFolder(folder);
  await rename(one, other);
  await flushFolder(folder);
  const names = await readdir(folder);
  if (names.join() !== 'other' || (await readFile(other, 'utf8')) !== 'one')
    return `has ${names.join(' and ')} after a rename that replaced a file`;
  const again = await rename(one, third).then(
    () => null,
    (error: unknown) => error,
  );
  if (again === null) return 'renames what is not there any more';
  if (!isGone(again)) throw again;
  // A file that is open keeps its content when its name goes to another.
  await using file = await open(other, 'r');
  await writeFlushed(third, 'third');
  await rename(third, other);
  return (await file.readFile('utf8')) === 'one' ? null : 'changes a file that is open when another takes its name';
}

async function checkClock(storeDir: string): Promise<Finding> {
  const beforeMs = Date.now();
  const fileMs = await readFileClock(storeDir);
  return judgeClock({ beforeMs, fileMs, afterMs: Date.now() });
}

const mostApartMs = 5_000;
const earliest = Date.UTC(2025, 0);

/** The time of a file that was written on the volume, between two looks at this machine's clock. */
export function judgeClock({ beforeMs, fileMs, afterMs }: Record<'beforeMs' | 'fileMs' | 'afterMs', number>): Finding {
  const now = new Date(afterMs).toISOString();
  if (afterMs < earliest) return fail(`this machine says ${now}: set its clock, or tasks run at the wrong time`);
  const apartMs = fileMs < beforeMs ? beforeMs - fileMs : Math.max(0, fileMs - afterMs);
  const words = `the volume's clock is ${inTime(apartMs)} ${fileMs < beforeMs ? 'behind' : 'ahead'}`;
  return apartMs < mostApartMs
    ? ok(`${now}; ${apartMs < 1000 ? "the volume's clock agrees" : words}`)
    : warn(`${words} of this machine's (${now}): set both by NTP`);
}
