/** A volume and the machines that share it, each with a local disk of its own, all in this process. */

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { Log } from '../../src/lib/log.ts';
import { StoreAccess } from '../../src/store/access.ts';
import type { Store } from '../../src/store/store.ts';
import { type Instance, thisInstance } from '../../src/store/volume/instance.ts';
import {
  basePath,
  type Generation,
  leasePath,
  nameOf,
  parseGeneration,
  walNamePath,
  walPath,
} from '../../src/store/volume/layout.ts';
import { accept, exchange, tick } from './store-inputs.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { createVersion1, fill } from './version1.ts';

export type Place = {
  root: string;
  storeDir: string;
  /** The link for people, or the one file of an earlier version. */
  database: string;
  local(machine: string): string;
};

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

export const silent = pino({ level: 'silent' });

export type LogLine = { level: number; msg: string; [field: string]: unknown };

/** Keeps what is logged. */
export function makeLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const log = pino({ level: 'debug', base: null }, { write: (line) => void lines.push(JSON.parse(line)) });
  return { log, lines };
}

let machines = 0;

/** A process of another machine: nobody here can tell whether it is dead. */
export function makeInstance(label: string): Instance {
  machines += 1;
  return { label: `${label}:${machines}`, world: 'another machine', pid: machines, started: '1' };
}

/** A process of this machine that is not there any more: everybody here can tell. */
export function makeDeadInstance(label: string): Instance {
  return { ...thisInstance(), label, started: `never ${label}` };
}

export type Machine = {
  access: StoreAccess;
  store: Store;
  self: Instance;
  lines: LogLine[];
  /** How often `onLost` and `onOpen` were called. */
  calls: { lost: number; open: number };
  /** One exchange, acknowledged: its conversation. */
  write(): Promise<string>;
  /** The conversations that a request sees. */
  read(): Promise<string[]>;
};

export type MachineInput = {
  /** One that is at work under this name is not waited for. */
  self?: Instance;
  localDbPath?: string;
  onLost?: () => Promise<void>;
  onOpen?: () => Promise<void>;
};

export function makeMachine(place: Place, name: string, input: MachineInput = {}): Machine {
  const calls = { lost: 0, open: 0 };
  const { log, lines } = makeLog();
  const self = input.self ?? makeInstance(name);
  const access = new StoreAccess({
    storeDir: place.storeDir,
    localDbPath: input.localDbPath ?? place.local(name),
    clock: { now: tick },
    log,
    self,
    onLost: async () => {
      calls.lost += 1;
      await input.onLost?.();
    },
    onOpen: async () => {
      calls.open += 1;
      await input.onOpen?.();
    },
  });
  onTestFinished(async () => void (await access.stop()));
  return {
    access,
    store: access.store,
    self,
    lines,
    calls,
    write: () =>
      access.use('writes', async () => {
        const { conversation } = await exchange(access.store);
        await access.sync();
        return conversation.id;
      }),
    read: () => access.use('reads', () => listConversations(access.store)),
  };
}

/** As the server starts. */
export async function startMachine(place: Place, name: string, input: MachineInput = {}): Promise<Machine> {
  const machine = makeMachine(place, name, input);
  await machine.access.start();
  return machine;
}

export async function listConversations(store: Store): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = null; ; ) {
    const page = await store.listConversations({ limit: 200, cursor });
    ids.push(...page.items.map(({ id }) => id));
    if (page.nextCursor === null) return ids.sort();
    cursor = page.nextCursor;
  }
}

/** A message of about so many bytes, not synced: to make the log, or the database, large. */
export async function writeLarge(store: Store, bytes: number): Promise<string> {
  const { conversation } = await accept(store, { text: 'x'.repeat(bytes) });
  return conversation.id;
}

/** The one entry of the baton. */
export function batonOf({ storeDir }: Place): string {
  const names = readdirSync(join(storeDir, 'baton'));
  if (names.length !== 1) throw new Error(`the baton has ${names.length} entries`);
  return names.join();
}

export function generationOf(place: Place): Generation {
  const name = batonOf(place).replace(/-s-.*$/, '');
  const generation = parseGeneration(name);
  if (generation === null) throw new Error(`${name} is no generation`);
  return generation;
}

/** The folder of the generation in use. */
export function folderOf(place: Place): string {
  return join(place.storeDir, nameOf(generationOf(place)));
}

export function foldersOf({ storeDir }: Place): string[] {
  return readdirSync(storeDir).filter((name) => parseGeneration(name) !== null);
}

/** Of the generation in use, on a copy: a look must leave the volume as it is. */
export function onVolume(place: Place, query: string): Record<string, unknown>[] {
  const copy = join(place.root, 'look.db');
  const folder = folderOf(place);
  copyFileSync(basePath(folder), copy);
  if (existsSync(walPath(folder))) copyFileSync(walPath(folder), `${copy}-wal`);
  return ask(copy, query);
}

export function conversationsOn(place: Place): string[] {
  return onVolume(place, 'select id from conversations order by id').map(({ id }) => String(id));
}

export function ask(path: string, query: string): Record<string, unknown>[] {
  const db = new DatabaseSync(path);
  try {
    return db
      .prepare(query)
      .all()
      .map((row) => ({ ...row }));
  } finally {
    db.close();
  }
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
  edit(path, `${statements}`, `process.kill(process.pid, 'SIGKILL')`);
}

/** A person's sqlite3, opened to write and closed in order. */
export function editAndClose(path: string, statements: string): void {
  edit(path, statements, 'db.close()');
}

function edit(path: string, statements: string, end: string): void {
  const script = `const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(${JSON.stringify(path)});
    db.exec(${JSON.stringify(statements)});
    ${end};`;
  const { signal, status, stderr } = spawnSync(process.execPath, ['-e', script]);
  if (signal !== 'SIGKILL' && status !== 0) throw new Error(`the editor failed: ${stderr}`);
}

/** Every file under the volume with its content, to see that nothing changed. */
export function contentOf(folder: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    files[path.slice(folder.length + 1)] = entry.isFile() ? readFileSync(path).toString('base64') : 'not a file';
  }
  return files;
}

export function changeByte(path: string, at: number): void {
  const content = readFileSync(path);
  content[at] = (content[at] ?? 0) ^ 0xff;
  writeFileSync(path, content, { mode: 0o644 });
}

/** What a person's sqlite3 does that folds the log in; the next sync finds that a snapshot is due. */
export function forceSnapshot(place: Place): void {
  rmSync(walNamePath(folderOf(place)), { force: true });
}

/** A lease that says nothing any more, as after a long silence. Whoever is at work writes it again within two seconds. */
export function silence(folder: string, ms: number): void {
  const at = new Date(Date.now() - ms);
  utimesSync(leasePath(folder), at, at);
}
