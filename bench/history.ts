/**
 * Volumes with a history of a given size, and what a request changes in one: 4 rows of 2 KB in the messages.
 *
 * SQLite makes the rows itself, through a connection of this bench's own, so that the garbage made here is not what is measured.
 * Their ids are random, as those of messages are.
 */

import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { pino } from 'pino';
import { systemClock } from '../src/lib/clock.ts';
import { StoreAccess } from '../src/store/access.ts';
import { openDatabase } from '../src/store/sqlite/sqlite-store.ts';

export type Place = AsyncDisposable & { dir: string; storeDir: string; localDbPath: string };

export const rowBytes = 2_000;
export const rowsPerRequest = 4;

/** Two rows of 2 KB and what SQLite keeps with them do not go into one page. */
const pageBytes = 4096;
const rowsPerConversation = 20;

/** On the disk that the temporary folder is on; removed when it is left. */
export async function makePlace(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'picoclaw-bench-'));
  const storeDir = join(dir, 'store');
  await mkdir(storeDir);
  return {
    dir,
    storeDir,
    localDbPath: join(dir, 'local', 'messages.db'),
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** As one file, which the first start takes over. */
export async function writeHistory({ storeDir }: Place, megabytes: number): Promise<void> {
  const path = join(storeDir, 'messages.db');
  await (await openDatabase(path)).close();
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF');
  insertHistory(db, megabytes);
  db.exec('PRAGMA journal_mode = WAL');
  db.close();
}

/** Into a database with the current schema and nothing in it. */
export function insertHistory(db: DatabaseSync, megabytes: number): void {
  const rows = Math.ceil((megabytes * 1e6) / (pageBytes * 1.04));
  db.exec('PRAGMA cache_size = -500000; begin');
  db.prepare(
    `insert into conversations (id, created_at, last_activity, message_count, status, fencing_token, seen_seq)
     with recursive row (n) as (select 1 union all select n + 1 from row where n < ?)
     select 'conv-' || lower(hex(randomblob(18))), '', '', 0, 'idle', 0, 0 from row`,
  ).run(Math.ceil(rows / rowsPerConversation));
  insertRows(db, rows, '1 + n % last');
  db.exec('commit; PRAGMA cache_size = -2000');
}

export async function startAccess({ storeDir, localDbPath }: Place): Promise<StoreAccess> {
  const access = new StoreAccess({
    storeDir,
    localDbPath,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    onLost: async () => undefined,
    onOpen: async () => undefined,
  });
  await access.start();
  return access;
}

/** A second connection to the runtime database, set up as the server's own. Closed before the server's. */
export function openWriter(path: string): { write: () => void; connection: DatabaseSync; close(): void } {
  const connection = new DatabaseSync(path);
  connection.exec('PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; PRAGMA secure_delete = ON');
  return {
    write: () => insertRows(connection, rowsPerRequest, '1 + abs(random() % last)'),
    connection,
    close: () => connection.close(),
  };
}

/** `conversation`: which one, in SQL, of those from 1 to `last`; asked for each row. */
function insertRows(db: DatabaseSync, rows: number, conversation: string): void {
  db.prepare(
    `insert into messages (id, conversation_id, role, sender, sender_name, content, created_at)
     with recursive row (n) as (select 1 union all select n + 1 from row where n < ?)
     select 'msg-' || lower(hex(randomblob(18))), conversations.id, 'user', 'user', 'user', hex(randomblob(${rowBytes / 2})), ''
     from row cross join (select max(seq) as last from conversations)
     cross join conversations on conversations.seq = ${conversation}`,
  ).run(rows);
}

/** What a volume that is a copy of the whole file does before each answer. */
export async function copyWhole({ dir }: Place, connection: DatabaseSync): Promise<number> {
  const path = join(dir, 'copy.db');
  const startedAt = performance.now();
  await backup(connection, `${path}.tmp`, { rate: 10_000 });
  {
    await using file = await open(`${path}.tmp`, 'r');
    await file.sync();
  }
  await rename(`${path}.tmp`, path);
  {
    await using folder = await open(dir, 'r');
    await folder.sync();
  }
  return performance.now() - startedAt;
}
