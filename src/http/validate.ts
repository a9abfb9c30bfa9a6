/** Checks what a request gave against its schema. */

import type { z } from 'zod';
import { invalidRequest } from '../domain/invalid-request.ts';
import { check } from '../lib/check.ts';

/** Throws `invalid_request` naming every fault. */
export function requireValid<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const checked = check(schema, value, { showsValues: true });
  if (checked.kind === 'valid') return checked.value;
  throw invalidRequest(checked.faults);
}
