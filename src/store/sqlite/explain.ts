/** What SQLite refuses, in words that a caller may see. The rest of the error stays its cause. */

import { Problem } from '../../domain/problem.ts';

/** Primary result codes, https://www.sqlite.org/rescode.html. */
const words: Record<number, string> = {
  8: 'the runtime database is read-only',
  10: 'the local disk has an I/O error',
  11: 'the runtime database is damaged',
  13: 'the local disk is full',
  14: 'the runtime database cannot be opened',
  26: 'the runtime database is damaged',
};

const damageCodes = [11, 26];

export type SqliteFault = { problem: Problem; isDamage: boolean };

/** Null for what is no fault of the disk or the file. */
export function explainSqlite(error: unknown): SqliteFault | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  const code = error.errcode & 0xff;
  const fault = words[code];
  if (fault === undefined) return null;
  const problem = new Problem('store_unavailable', `${fault}; what was to be written now was not`, { cause: error });
  return { problem, isDamage: damageCodes.includes(code) };
}
