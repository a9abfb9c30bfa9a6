/**
 * The volume's own connection to the runtime database: it reads, and never writes.
 *
 * While a backup reads through it, its mutex is held on another thread, and whoever touches it waits: the garbage collector
 * too, when it finds a statement of it to finalise. So there is one statement, and it lives as long as the connection.
 */

import { DatabaseSync, type StatementSync } from 'node:sqlite';

/** In WAL mode a reader waits for nobody but SQLite's own recovery of the file. */
const busyTimeoutMs = 1_000;

export class Reader {
  readonly connection: DatabaseSync;
  readonly #version: StatementSync;

  constructor(path: string) {
    this.connection = new DatabaseSync(path, { readOnly: true, timeout: busyTimeoutMs });
    this.#version = this.connection.prepare('PRAGMA data_version');
  }

  /** Differs from an earlier value when another connection has committed since; equal only when none has. */
  dataVersion(): number {
    return Number(this.#version.get()?.data_version);
  }

  close(): void {
    this.connection.close();
  }
}
