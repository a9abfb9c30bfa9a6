/** The problem `invalid_request`: every fault with its field. However many and long the faults of a megabyte are, it stays small. */

import { type FieldError, Problem } from './problem.ts';

const maxErrors = 20;
const maxPathCharacters = 200;

/** `message` follows on the path: `prompt: must not be blank`. */
export function invalidRequest(found: FieldError[]): Problem {
  const errors = found.slice(0, maxErrors).map(({ path, message }) => ({ path: shorten(path), message }));
  const details = errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`));
  if (found.length > maxErrors) details.push(`and ${found.length - maxErrors} more faults`);
  return new Problem('invalid_request', details.join('; '), { errors });
}

function shorten(path: string): string {
  return path.length > maxPathCharacters ? `${path.slice(0, maxPathCharacters).toWellFormed()}…` : path;
}
