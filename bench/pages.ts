/**
 * What one chat of 2 KB each way changes in the database, in pages and in bytes of the log, by how SQLite is set:
 * `node bench/pages.ts`.
 *
 * A chat is what src/runs does with the store: `acceptRun`, a sync, `settleRun`, a sync. It goes on with one of many
 * conversations. Each sync appends every page that changed since the one before, whole.
 */

import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { newId } from '../src/lib/ids.ts';
import { makeStore } from '../src/store/queries/make-store.ts';
import type { Tables } from '../src/store/queries/tables.ts';
import { NodeSqliteDialect } from '../src/store/sqlite/dialect.ts';
import { migrateToLatest } from '../src/store/sqlite/migrations.ts';
import type { Store } from '../src/store/store.ts';
import { acceptInput, settleInput } from '../test/support/store-inputs.ts';
import { insertHistory, makePlace, rowBytes } from './history.ts';
import { round } from './stats.ts';

type Settings = { autoVacuum: 'FULL' | 'NONE'; secureDelete: boolean; pageBytes: number; ids: 'random' | 'in order' };

const asSet: Settings = { autoVacuum: 'FULL', secureDelete: true, pageBytes: 4096, ids: 'random' };
const variants: Settings[] = [
  asSet,
  { ...asSet, autoVacuum: 'NONE' },
  { ...asSet, secureDelete: false },
  { ...asSet, autoVacuum: 'NONE', secureDelete: false },
  { ...asSet, pageBytes: 1024 },
  { ...asSet, pageBytes: 2048 },
  { ...asSet, autoVacuum: 'NONE', pageBytes: 2048 },
  { ...asSet, pageBytes: 8192 },
  { ...asSet, ids: 'in order' },
];

const chats = 300;

export async function benchPages(megabytes: number): Promise<object[]> {
  const rows: object[] = [];
  for (const settings of variants) rows.push(await measure(settings, megabytes));
  return rows;
}

async function measure(settings: Settings, megabytes: number): Promise<object> {
  await using place = await makePlace();
  await mkdir(dirname(place.localDbPath));
  const connection = new DatabaseSync(place.localDbPath);
  connection.exec(`PRAGMA page_size = ${settings.pageBytes}; PRAGMA auto_vacuum = ${settings.autoVacuum};
    PRAGMA secure_delete = ${settings.secureDelete ? 'ON' : 'OFF'}; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON`);
  const db = new Kysely<Tables>({ dialect: new NodeSqliteDialect(connection) });
  await migrateToLatest(db);
  insertHistory(connection, megabytes);
  connection.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0');
  const ids = connection.prepare('select id from conversations order by random() limit ?').all(chats);
  const store = makeStore({ db: () => db, explain: (error) => error, close: async () => undefined });
  const walBytes = async () => (await stat(`${place.localDbPath}-wal`)).size;
  await chat(store, String(ids.at(-1)?.id), settings.ids);
  const before = await walBytes();
  for (const { id } of ids.slice(0, -1)) await chat(store, String(id), settings.ids);
  const bytes = ((await walBytes()) - before) / (ids.length - 1);
  await db.destroy();
  return {
    auto_vacuum: settings.autoVacuum,
    secure_delete: settings.secureDelete,
    'page size': settings.pageBytes,
    ids: settings.ids,
    'pages a chat': round(bytes / (settings.pageBytes + 24)),
    'log bytes a chat': Math.round(bytes),
    'per byte of content': round(bytes / (2 * rowBytes)),
  };
}

async function chat(store: Store, conversationId: string, order: Settings['ids']): Promise<void> {
  const text = 'x'.repeat(rowBytes);
  const input = acceptInput({ conversationId, runId: makeId('run', order) });
  const outcome = await store.acceptRun({
    ...input,
    message: { ...input.message, id: makeId('msg', order), content: text },
  });
  if (outcome.kind !== 'accepted') throw new Error(`the run was not accepted: ${outcome.kind}`);
  const settled = settleInput(outcome);
  await store.settleRun({
    ...settled,
    reply: { id: makeId('msg', order), sender: 'Pico', senderName: 'Pico', content: text },
  });
}

/** In order: as a UUID of version 7, which begins with the time (RFC 9562 §5.7). */
function makeId(prefix: 'run' | 'msg', order: Settings['ids']): string {
  const id = newId(prefix);
  if (order === 'random') return id;
  const time = Date.now().toString(16).padStart(12, '0');
  return `${prefix}-${time.slice(0, 8)}-${time.slice(8)}-7${id.slice(-21)}`;
}

if (import.meta.main) console.table(await benchPages(Number(process.argv[2] ?? 100)));
