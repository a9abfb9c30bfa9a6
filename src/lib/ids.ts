/** Identifiers: a prefix that says what it names, and a random UUID. */

import { randomUUID } from 'node:crypto';

export type IdPrefix = 'conv' | 'msg' | 'out' | 'run' | 'task' | 'req';

export function newId(prefix: IdPrefix): string {
  return `${prefix}-${randomUUID()}`;
}

/** The UUID inside an id made by `newId`; null for an id of another make (PicoClaw 1.x, a caller's own). */
export function uuidOf(id: string): string | null {
  return /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.exec(id)?.[0] ?? null;
}
