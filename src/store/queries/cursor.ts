/** Cursors: which list, and the `seq` of the last row returned. A caller passes them back and reads nothing into them. */

import * as z from 'zod/mini';
import type { Page } from '../../domain/conversation.ts';
import { InvalidCursor } from '../store.ts';

const position = z.strictObject({ list: z.string(), after: z.int().check(z.nonnegative()) });

/** The `seq` to go on from; null at the start of the list. Throws `InvalidCursor` for what `toPage` did not make for this list. */
export function fromCursor(list: string, cursor: string | null): number | null {
  if (cursor === null) return null;
  const parsed = position.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString()));
  if (!parsed.success || parsed.data.list !== list) throw new InvalidCursor();
  return parsed.data.after;
}

/** `rows` holds one row more than the page when there is a next one. */
export function toPage<Row extends { seq: number }, T>(input: {
  list: string;
  rows: Row[];
  limit: number;
  toItem: (row: Row) => T;
}): Page<T> {
  const rows = input.rows.slice(0, input.limit);
  const last = rows.at(-1);
  const more = input.rows.length > rows.length && last !== undefined;
  return { items: rows.map(input.toItem), nextCursor: more ? toCursor(input.list, last.seq) : null };
}

function toCursor(list: string, after: number): string {
  return Buffer.from(JSON.stringify({ list, after })).toString('base64url');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
