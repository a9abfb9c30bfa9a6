/** Databases as PicoClaw 1.x left them, built from its tables (docs: the volumes of the contract). */

import { DatabaseSync } from 'node:sqlite';

/** `idType`: the ids of outbound messages and run logs were numbers in some versions and texts in others. */
export function createVersion1(path: string, idType: 'INTEGER' | 'TEXT' = 'INTEGER'): DatabaseSync {
  const db = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  db.exec(`
    PRAGMA journal_mode = WAL;
    CREATE TABLE conversations (id TEXT PRIMARY KEY, session_id TEXT, last_assistant_uuid TEXT, created_at TEXT NOT NULL,
      last_activity TEXT NOT NULL, message_count INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'idle');
    CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, role TEXT NOT NULL, sender TEXT,
      sender_name TEXT, content TEXT NOT NULL, created_at TEXT NOT NULL,
      FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE);
    CREATE INDEX idx_messages ON messages (conversation_id, created_at);
    CREATE TABLE outbound_messages (id ${idType} PRIMARY KEY, conversation_id TEXT NOT NULL, text TEXT NOT NULL, sender TEXT,
      created_at TEXT NOT NULL, delivered INTEGER NOT NULL DEFAULT 0,
      FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE);
    CREATE TABLE scheduled_tasks (id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, prompt TEXT NOT NULL,
      schedule_type TEXT NOT NULL, schedule_value TEXT NOT NULL, context_mode TEXT NOT NULL DEFAULT 'isolated', next_run TEXT,
      last_run TEXT, last_result TEXT, status TEXT NOT NULL DEFAULT 'active', created_at TEXT NOT NULL,
      FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE);
    CREATE TABLE task_run_logs (id ${idType} PRIMARY KEY, task_id TEXT NOT NULL, run_at TEXT NOT NULL,
      duration_ms INTEGER NOT NULL, status TEXT NOT NULL, result TEXT, error TEXT,
      FOREIGN KEY (task_id) REFERENCES scheduled_tasks (id) ON DELETE CASCADE);
  `);
  return db;
}

export function fill(db: DatabaseSync, table: string, rows: Record<string, string | number | null>[]): void {
  for (const row of rows) {
    const columns = Object.keys(row);
    db.prepare(`insert into ${table} (${columns}) values (${columns.map(() => '?')})`).run(...Object.values(row));
  }
}
