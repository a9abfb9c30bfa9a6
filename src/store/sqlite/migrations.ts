/**
 * The list of migrations, and the ledger of those that were run (table `kysely_migration`).
 *
 * All that are pending run in one transaction, the ledger included: a database is at one version or another, never between.
 * A migration that was released is never edited. The list is code, not a folder: the server is bundled into one file.
 */

import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import type { Tables } from '../queries/tables.ts';
import { createSchema } from './schema.ts';
import { addTasks } from './schema-tasks.ts';

const ledgerTable = 'kysely_migration';

const migrations: Record<string, Migration> = {
  '0001_schema': { up: createSchema },
  '0002_tasks': { up: addTasks },
};

export async function migrateToLatest(db: Kysely<Tables>): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const applied = await readLedger(trx);
    refuseNewer(applied);
    // The migrator asks the database for all of its tables again and again: a start that has nothing to migrate need not wait.
    if (applied.length === Object.keys(migrations).length) return;
    const migrator = new Migrator({
      db: trx,
      provider: { getMigrations: async () => migrations },
      migrationTableName: ledgerTable,
    });
    const { error } = await migrator.migrateToLatest();
    // The migrator reports instead of throwing; only a throw undoes the transaction.
    if (error !== undefined) throw new Error(`the database could not be migrated: ${String(error)}`, { cause: error });
  });
}

/** The names of the migrations that were run. */
async function readLedger(db: Kysely<Tables>): Promise<string[]> {
  const ledger = await sql`select 1 from sqlite_schema where type = 'table' and name = ${ledgerTable}`.execute(db);
  if (ledger.rows.length === 0) return [];
  const applied = await sql<{ name: string }>`select name from ${sql.table(ledgerTable)}`.execute(db);
  return applied.rows.map((row) => row.name);
}

function refuseNewer(applied: string[]): void {
  const unknown = applied.filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    throw new Error(
      `the database was written by a newer version of PicoClaw (unknown here: ${unknown.join(', ')}); start that version, or restore an older copy`,
    );
  }
}
