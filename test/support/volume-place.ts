/** A volume and the local disks of the machines that use it, one after another. */

import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readFileSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import { createSqliteStore } from '../../src/store/sqlite/sqlite-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createCopyVolume } from '../../src/store/volume/copy-volume.ts';
import type { Volume } from '../../src/store/volume/volume.ts';
import { tick } from './store-inputs.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { createVersion1, fill } from './version1.ts';

export type Place = { root: string; storeDir: string; database: string; local(machine: string): string };

export const silent = pino({ level: 'silent' });

export function makePlace(): Place {
  const root = temporaryFolder();
  const storeDir = join(root, 'store');
  mkdirSync(storeDir);
  return {
    root,
    storeDir,
    database: join(storeDir, 'messages.db'),
    local: (machine) => join(root, machine, 'messages.db'),
  };
}

export function makeVolume(place: Place, machine: string): Volume {
  mkdirSync(join(place.root, machine), { recursive: true });
  const volume = createCopyVolume({
    storeDir: place.storeDir,
    localDbPath: place.local(machine),
    clock: { now: tick },
    log: silent,
  });
  onTestFinished(() => volume.stop());
  return volume;
}

/** As the server starts; `machine` has a local disk of its own. */
export async function start(place: Place, machine = 'machine-1') {
  const volume = makeVolume(place, machine);
  const hydrated = await volume.hydrate();
  const store: Store = await createSqliteStore({ path: place.local(machine) });
  onTestFinished(() => store.close());
  return { volume, store, hydrated };
}

export function writeVersion1(place: Place): Buffer {
  const db = createVersion1(place.database);
  const at = '2025-01-01T00:00:00.000Z';
  fill(db, 'conversations', [{ id: 'c-1', created_at: at, last_activity: at, message_count: 1, status: 'idle' }]);
  fill(db, 'messages', [{ id: 'm-1', conversation_id: 'c-1', role: 'user', content: 'hello', created_at: at }]);
  db.close();
  return readFileSync(place.database);
}

/** Another process writes to the file and is killed before it can tidy up. */
export function editAndDie(path: string, statements: string): void {
  const script = `const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec(${JSON.stringify(statements)});
    process.kill(process.pid, 'SIGKILL');`;
  const { signal, stderr } = spawnSync(process.execPath, ['-e', script]);
  if (signal !== 'SIGKILL') throw new Error(`the editor was to be killed: ${stderr}`);
}

/** By another process: closing a descriptor of an open database here would drop the locks of its connections. */
export function copyElsewhere(from: string, to: string): void {
  execFileSync('cp', [from, to]);
}

export function onVolume(place: Place, query: string): Record<string, unknown>[] {
  const db = new DatabaseSync(place.database, { readOnly: true });
  try {
    return db
      .prepare(query)
      .all()
      .map((row) => ({ ...row }));
  } finally {
    db.close();
  }
}

export function check(path: string): unknown {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db.prepare('PRAGMA integrity_check').get()?.integrity_check;
  } finally {
    db.close();
  }
}

export function count(db: DatabaseSync): unknown {
  return db.prepare('select count(*) as n from messages').get()?.n;
}

/** Differs when the file was written or replaced. */
export function fingerprint(path: string): { inode: number; mtimeMs: number; size: number } {
  const { ino, mtimeMs, size } = statSync(path);
  return { inode: ino, mtimeMs, size };
}

export function overwrite(path: string, from: number, bytes: number): void {
  const content = readFileSync(path);
  truncateSync(path, 0);
  appendFileSync(path, content.fill(0xa5, from, from + bytes));
}
