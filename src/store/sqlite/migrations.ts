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
    await refuseNewer(trx);
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

async function refuseNewer(db: Kysely<Tables>): Promise<void> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some((table) => table.name === ledgerTable)) return;
  const applied = await sql<{ name: string }>`select name from ${sql.table(ledgerTable)}`.execute(db);
  const unknown = applied.rows.map((row) => row.name).filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length > 0) {
    throw new Error(
      `the database was written by a newer version of PicoClaw (unknown here: ${unknown.join(', ')}); start that version, or restore an older copy`,
    );
  }
}
