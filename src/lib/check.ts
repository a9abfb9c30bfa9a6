/**
 * Checks what came from outside against its schema. A fault is told as its field's path, what is wanted there and, where
 * it may be shown, what was given.
 */

import type { z } from 'zod';
import type { FieldError } from '../domain/problem.ts';

export type Checked<T> = { kind: 'valid'; value: T } | { kind: 'faulty'; faults: FieldError[] };

export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  { showsValues }: { showsValues: boolean },
): Checked<z.output<Schema>> {
  const parsed = schema.safeParse(value, { error: (issue) => wanted(issue) });
  if (parsed.success) return { kind: 'valid', value: parsed.data };
  return { kind: 'faulty', faults: parsed.error.issues.flatMap((issue) => toFieldErrors(issue, value, showsValues)) };
}

function toFieldErrors(issue: z.core.$ZodIssue, root: unknown, showsValues: boolean): FieldError[] {
  const at = (path: PropertyKey[]) => path.map(String).join('.');
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({ path: at([...issue.path, key]), message: 'is not a known field' }));
    case 'invalid_union':
      return closestBranch(issue.errors).flatMap((nested) =>
        toFieldErrors({ ...nested, path: [...issue.path, ...nested.path] }, root, showsValues),
      );
    case 'invalid_key':
      return [{ path: at(issue.path), message: issue.issues.map((nested) => nested.message).join('; ') }];
    default: {
      const given = valueAt(root, issue.path);
      const { message } = issue;
      if (given === undefined) return [{ path: at(issue.path), message: `is required: ${message}` }];
      return [{ path: at(issue.path), message: showsValues ? `${message}; got ${describe(given)}` : message }];
    }
  }
}

/** Of the shapes that a value may have, the one that it misses by the fewest faults is the one that was meant. */
function closestBranch(branches: z.core.$ZodIssue[][]): z.core.$ZodIssue[] {
  const weight = (issues: z.core.$ZodIssue[]) =>
    issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 1), 0);
  return branches.toSorted((a, b) => weight(a) - weight(b))[0] ?? [];
}

/** What a schema wants, where it does not say so itself. */
function wanted(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    case 'too_small':
      return issue.origin === 'string'
        ? 'must not be empty'
        : `must be ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'string'
        ? `must have at most ${issue.maximum} characters`
        : `must be at most ${issue.maximum}`;
    default:
      return undefined;
  }
}

const typeNames: Partial<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'an integer',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
};

function valueAt(root: unknown, path: PropertyKey[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}

const maxShown = 40;

/** A value as a fault shows it: short, however long it is. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value.length > maxShown ? `${JSON.stringify(value.slice(0, maxShown))}…` : JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : 'an object';
    default:
      return String(value);
  }
}
