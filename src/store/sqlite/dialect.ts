/**
 * `node:sqlite` under Kysely, whose SQLite dialect is written for the API of better-sqlite3.
 *
 * There is one connection. Kysely gives it to one transaction or statement at a time and makes the others wait, so calls
 * that overlap neither interleave nor see each other's uncommitted rows.
 */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import {
  type DatabaseConnection,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type SqliteStatement,
} from 'kysely';

export class NodeSqliteDialect extends SqliteDialect {
  readonly #db: DatabaseSync;

  /** Destroying the Kysely instance closes `db`. */
  constructor(db: DatabaseSync) {
    super({ database: toSqliteDatabase(db) });
    this.#db = db;
  }

  override createDriver(): SqliteDriver {
    return new NodeSqliteDriver(this.#db);
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalDdlAdapter();
  }
}

class NodeSqliteDriver extends SqliteDriver {
  readonly #db: DatabaseSync;

  constructor(db: DatabaseSync) {
    super({ database: toSqliteDatabase(db) });
    this.#db = db;
  }

  /** A full disk or an I/O error makes SQLite roll back by itself; a second rollback would throw and hide that error. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#db.isTransaction) await super.rollbackTransaction(connection);
  }
}

/** SQLite's DDL is transactional. Kysely assumes not, and would run a migration without a transaction around it. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function toSqliteDatabase(db: DatabaseSync): SqliteDatabase {
  return {
    close: () => db.close(),
    prepare: (sql) => toSqliteStatement(db.prepare(sql)),
  };
}

function toSqliteStatement(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...parameters.map(toInputValue)),
    run: (parameters) => statement.run(...parameters.map(toInputValue)),
    iterate: (parameters) => statement.iterate(...parameters.map(toInputValue)),
  };
}

function toInputValue(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value;
  throw new TypeError(`a value of type ${typeof value} cannot be bound to a statement`);
}
