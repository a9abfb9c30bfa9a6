/**
 * Whether what the volume holds would start, found out on a copy: nothing on the volume is changed or locked.
 *
 * It is right while a server is at work there: what is copied is what was flushed by then, and a copy that was overtaken (the
 * baton was passed on, and the files removed in mid-copy) is made again.
 */

import { DatabaseSync } from 'node:sqlite';
import { messageOf } from '../../lib/error-code.ts';
import { isSameBaton, readBaton } from './baton.ts';
import { clearLocal, Damaged, fetchGeneration, foldIn, hydrateFlat } from './hydrate.ts';
import { flatPath, folderPath } from './layout.ts';

export type VerifyInput = {
  storeDir: string;
  /** Where the copy is made, on local disk. What is there is removed, and the copy is, too. */
  copyPath: string;
  /** As a server does: brings the copy to the current schema. Rejects when it cannot. */
  migrate: (path: string) => Promise<void>;
};

/**
 * `impaired`: a start goes on with what could be read whole. `unusable`: whole, but not for this version. `none`: there is
 * nothing on the volume yet. `moving`: each copy was overtaken.
 */
export type Verdict =
  | { kind: 'whole'; bytes: number; ms: number; found: 'v1' | 'v2' }
  | { kind: 'impaired' | 'damaged' | 'unusable'; fault: string }
  | { kind: 'none' | 'moving' };

const maxCopies = 5;

export async function verifyVolume(input: VerifyInput): Promise<Verdict> {
  try {
    for (let copies = 0; copies < maxCopies; copies += 1) {
      const verdict = await verifyOnce(input);
      if (verdict !== null) return verdict;
    }
    return { kind: 'moving' };
  } finally {
    await clearLocal(input.copyPath);
  }
}

/** Null when it was overtaken. */
async function verifyOnce(input: VerifyInput): Promise<Verdict | null> {
  const before = await readBaton(input.storeDir);
  const overtaken = async () => {
    const now = await readBaton(input.storeDir);
    return before === null || now === null ? before !== now : !isSameBaton(before, now);
  };
  try {
    const startedAt = performance.now();
    const copied = await copy(input, before === null || before.generation.number === 0 ? null : before.generation);
    if (await overtaken()) return null;
    if (copied === null) return { kind: 'none' };
    if (copied.damage !== null) return { kind: 'impaired', fault: copied.damage };
    const ms = performance.now() - startedAt;
    return (await judge(input)) ?? { kind: 'whole', bytes: copied.bytes, ms, found: copied.kind };
  } catch (error) {
    if (await overtaken()) return null;
    if (error instanceof Damaged) return { kind: 'damaged', fault: error.message };
    throw error;
  }
}

async function copy({ storeDir, copyPath }: VerifyInput, generation: Parameters<typeof folderPath>[1] | null) {
  if (generation !== null) {
    const folder = folderPath(storeDir, generation);
    const fetched = await fetchGeneration(folder, copyPath);
    return { bytes: fetched.bytes, damage: foldIn(folder, copyPath, fetched), kind: 'v2' as const };
  }
  const flat = await hydrateFlat(flatPath(storeDir), copyPath);
  return flat === null ? null : { ...flat, damage: null };
}

async function judge({ copyPath, migrate }: VerifyInput): Promise<Verdict | null> {
  const faults = checkIntegrity(copyPath);
  if (faults !== null) return { kind: 'damaged', fault: `integrity_check says: ${faults}` };
  try {
    await migrate(copyPath);
    return null;
  } catch (error) {
    return { kind: 'unusable', fault: messageOf(error) };
  }
}

const maxFaultsTold = 3;

function checkIntegrity(path: string): string | null {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const rows = db.prepare(`PRAGMA integrity_check(${maxFaultsTold})`).all();
    const said = rows.map((row) => String(row.integrity_check));
    return said.length === 1 && said[0] === 'ok' ? null : said.join('; ');
  } finally {
    db.close();
  }
}
