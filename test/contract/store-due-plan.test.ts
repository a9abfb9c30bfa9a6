/** How SQLite finds the tasks that are due: what it reads grows with what is returned, not with what waits. */

import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { expect, it, onTestFinished } from 'vitest';
import { countDue, dueTasks, nextDueAt } from '../../src/store/queries/due.ts';
import type { Tables } from '../../src/store/queries/tables.ts';
import { NodeSqliteDialect } from '../../src/store/sqlite/dialect.ts';
import { migrateToLatest } from '../../src/store/sqlite/migrations.ts';

const at = '2030-01-01T00:00:00.000Z';
const inIndex = 'SEARCH scheduled_tasks USING COVERING INDEX scheduled_tasks_due (status=? AND next_run';

it.each<[string, (db: Kysely<Tables>) => Promise<unknown>, string[]]>([
  [
    'those that can run',
    (db) => dueTasks(db, { at, limit: 9, except: ['task-1'] }),
    // The rows that are returned are read by their number.
    ['SEARCH scheduled_tasks USING INTEGER PRIMARY KEY (rowid=?)', `${inIndex}<?)`],
  ],
  ['how many they are', (db) => countDue(db, at), [`${inIndex}<?)`]],
  ['when the next one is', (db) => nextDueAt(db, { at, heldUpUntil: at }), [`${inIndex}>?)`]],
])('%s: all that is asked is in the index', async (_what, ask, expected) => {
  const connection = new DatabaseSync(':memory:');
  const plans: string[][] = [];
  const db = new Kysely<Tables>({
    dialect: new NodeSqliteDialect(connection),
    log: ({ query }) => {
      plans.push(explain(connection, query.sql));
    },
  });
  onTestFinished(() => db.destroy());
  await migrateToLatest(db);
  plans.length = 0;
  await ask(db);
  const plan = plans.flat();
  expect(plan.filter((step) => step.includes('scheduled_tasks'))).toEqual(expected);
  expect(plan.filter((step) => step.startsWith('SCAN'))).toEqual([]);
  const runs = plan.filter((step) => step.includes(' runs '));
  expect(runs).not.toEqual([]);
  for (const step of runs) expect(step).toContain('USING INDEX runs_one_running');
});

/** Without values: the plan must not depend on them. */
function explain(connection: DatabaseSync, statement: string): string[] {
  if (!/^select/.test(statement)) return [];
  const steps = connection.prepare(`explain query plan ${statement}`).all();
  return steps.map((step) => String(step.detail));
}
