/**
 * The checks of what is on the volume: whose it is, what is in use, and whether a start would find it whole.
 *
 * Nothing there is changed, and nobody at work on it is disturbed: it is read, and what is tried is tried on a copy.
 */

import { lstat, mkdtemp, readdir, readlink, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../../config.ts';
import { ifMissing } from '../../lib/error-code.ts';
import { openDatabase } from '../../store/sqlite/sqlite-store.ts';
import { type Baton, readBaton } from '../../store/volume/baton.ts';
import { listGenerations } from '../../store/volume/generation.ts';
import { thisInstance } from '../../store/volume/instance.ts';
import { basePath, batonPath, flatPath, folderPath, linkTarget, nameOf, walPath } from '../../store/volume/layout.ts';
import { readFileClock, readLease } from '../../store/volume/lease.ts';
import { findOwner } from '../../store/volume/take-over.ts';
import { verifyVolume } from '../../store/volume/verify.ts';
import { isFolder } from './file-system.ts';
import { type Check, type Finding, fail, inBytes, inTime, ok, skip, warn } from './finding.ts';

/** A large database on a slow volume is read whole. */
const integrityLimitMs = 3_600_000;

type Places = Pick<Config, 'storeDir' | 'localDbPath'>;

export function volumeChecks(places: Places): Check[] {
  const { storeDir } = places;
  const ifThere = (run: () => Promise<Finding[]>) => async () =>
    (await isFolder(storeDir)) ? await run() : [skip(`${storeDir} is not there`)];
  const inUse = (run: (baton: Baton) => Promise<Finding>) =>
    ifThere(async () => {
      const baton = await readBaton(storeDir);
      return [baton === null || baton.generation.number === 0 ? skip('no generation yet') : await run(baton)];
    });
  return [
    { name: 'volume', run: ifThere(async () => [await checkOwner(storeDir)]) },
    { name: 'generation', run: inUse((baton) => describeGeneration(storeDir, baton)) },
    { name: 'integrity', run: ifThere(async () => [await checkIntegrity(places)]), limitMs: integrityLimitMs },
    { name: 'messages.db', run: inUse((baton) => checkLink(storeDir, baton)) },
    { name: 'damaged', run: ifThere(() => findDamaged(storeDir)) },
    { name: 'size', run: ifThere(async () => [judgeSize(await databaseBytes(storeDir))]) },
  ];
}

/** Of the database in use with its log, or of the single file of an earlier version; 0 when there is none. */
export async function databaseBytes(storeDir: string): Promise<number> {
  const baton = await readBaton(storeDir);
  const paths =
    baton === null || baton.generation.number === 0
      ? [flatPath(storeDir)]
      : [basePath, walPath].map((pathIn) => pathIn(folderPath(storeDir, baton.generation)));
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path).catch(ifMissing(null)))?.size ?? 0));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function checkOwner(storeDir: string): Promise<Finding> {
  const baton = await readBaton(storeDir);
  if (baton === null) {
    const generations = await listGenerations(storeDir);
    return generations.length === 0
      ? ok('nobody has used it yet')
      : fail(
          `${storeDir} has ${generations.map(nameOf).join(', ')} but no ${batonPath(storeDir)}, which says which of them is in use: ` +
            'see docs/guarantees.md, "The baton is damaged"',
        );
  }
  const now = await readFileClock(storeDir);
  const lease = await readLease(folderPath(storeDir, baton.generation));
  const said = lease === null ? '' : ` (it said so ${inTime(now - lease.writtenAtMs)} ago)`;
  const owner = await findOwner(baton, { storeDir, self: thisInstance() });
  if (owner !== null) return warn(`${owner.label} is at work on it${said}; this instance would wait`);
  if (baton.sealedFor !== null) return ok('free: a takeover was begun and not finished, which the next start takes up');
  if (lease === null) return ok('free');
  const { label } = lease.owner;
  return ok(lease.state === 'idle' ? `free: ${label} is idle or has ended${said}` : `free: ${label} is gone${said}`);
}

async function describeGeneration(storeDir: string, { generation }: Baton): Promise<Finding> {
  const folder = folderPath(storeDir, generation);
  const log = await stat(walPath(folder)).catch(ifMissing(null));
  const base = log ?? (await stat(basePath(folder)).catch(ifMissing(null)));
  if (base === null) return fail(`${folder} is not there, and baton/ names it: restore it from a backup`);
  return ok(`${nameOf(generation)}, last written to at ${base.mtime.toISOString()}`);
}

async function checkIntegrity({ storeDir, localDbPath }: Places): Promise<Finding> {
  if ((await readBaton(storeDir)) === null && (await listGenerations(storeDir)).length > 0) return skip('see volume');
  const local = (await isFolder(dirname(localDbPath))) ? dirname(localDbPath) : tmpdir();
  const bytes = await databaseBytes(storeDir);
  const { bavail, bsize, blocks } = await statfs(local);
  if (blocks > 0 && bavail * bsize < bytes) {
    const missing = `${local} has no room for a copy of ${inBytes(bytes)}`;
    const reused = (await stat(localDbPath).catch(ifMissing(null)))?.size ?? 0;
    return bavail * bsize + reused < bytes ? fail(`${missing}, as a start needs: make room`) : skip(missing);
  }
  const folder = await mkdtemp(join(local, 'picoclaw-doctor-'));
  try {
    const verdict = await verifyVolume({
      storeDir,
      copyPath: join(folder, 'messages.db'),
      migrate: async (path) => (await openDatabase(path)).close(),
    });
    switch (verdict.kind) {
      case 'whole': {
        const what = verdict.found === 'v1' ? 'a whole database of PicoClaw 1.x, which a start takes over' : 'whole';
        return ok(`${what}; ${inBytes(verdict.bytes)} copied in ${inTime(verdict.ms)}, as a start does`);
      }
      case 'impaired':
        return fail(
          `${verdict.fault}; a start goes on with what is whole and keeps the rest beside it: restore ${storeDir} from a backup ` +
            'if something is missed',
        );
      case 'damaged':
        return fail(`${verdict.fault}: restore ${storeDir} from a backup; see docs/guarantees.md`);
      case 'unusable':
        return fail(`${storeDir}: ${verdict.fault}`);
      case 'none':
        return ok('no database yet; a start makes an empty one');
      case 'moving':
        return warn('the volume changed faster than it could be copied; look again when less is written');
      default:
        return verdict satisfies never;
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function checkLink(storeDir: string, baton: Baton): Promise<Finding> {
  const path = flatPath(storeDir);
  const found = await lstat(path).catch(ifMissing(null));
  if (found === null) return warn(`${path} is not there; the next start makes it a link to the database in use`);
  if (!found.isSymbolicLink())
    return warn(
      `${path} is a file of its own and not the database in use, which is in ${nameOf(baton.generation)}: move it away`,
    );
  const target = await readlink(path);
  if (target === linkTarget(baton.generation)) return ok(`leads to ${target}`);
  const now = await readBaton(storeDir);
  if (now !== null && target === linkTarget(now.generation)) return ok(`leads to ${target}`);
  return warn(`${path} leads to ${target}, and ${nameOf(baton.generation)} is in use; the next start sets it right`);
}

async function findDamaged(storeDir: string): Promise<Finding[]> {
  const found = (await readdir(storeDir)).filter((name) => name.startsWith('damaged-')).sort();
  if (found.length === 0) return [ok('nothing was put aside')];
  return found.map((name) =>
    warn(`${join(storeDir, name)} was damaged and put aside: recover what is missed, then remove it`),
  );
}

const largeBytes = 2e9;

export function judgeSize(bytes: number): Finding {
  return bytes < largeBytes
    ? ok(inBytes(bytes))
    : warn(
        `${inBytes(bytes)}, all of which a start copies, about a second for a few hundred MB; PostgreSQL will be the better home`,
      );
}
