/**
 * What of the model API a claude process may ask for. Pure.
 *
 * The target of the request line is compared as it stands: a way of writing one of these paths that is not the plain
 * one (`//`, `..`, `%2e`, an absolute URL) is another path, and is not found.
 */

import type { Refusal } from './refusal.ts';

export type Target =
  | {
      kind: 'passes';
      /** Path and query, as they came. */
      target: string;
      /** Whether its answer tells of tokens that cost something. */
      isMetered: boolean;
    }
  | { kind: 'refused'; refusal: Refusal };

const targets = [
  { method: 'POST', path: /^\/v1\/messages$/, isMetered: true },
  { method: 'POST', path: /^\/v1\/messages\/count_tokens$/, isMetered: false },
  { method: 'GET', path: /^\/v1\/models$/, isMetered: false },
  { method: 'GET', path: /^\/v1\/models\/[A-Za-z0-9][A-Za-z0-9._:@-]*$/, isMetered: false },
];

/** What RFC 9112 lets a request line hold after the path, less the fragment, which is none of it. */
const wellFormed = /^([\x21\x22\x24-\x3e\x40-\x7e]*)(?:\?[\x21\x22\x24-\x7e]*)?$/;

export type TargetInput = {
  method?: string | undefined;
  url?: string | undefined;
  headers: { upgrade?: string | undefined };
};

export function decideTarget({ method, url = '', headers }: TargetInput): Target {
  const path = wellFormed.exec(url)?.[1];
  const found = path === undefined ? undefined : targets.find((target) => target.path.test(path));
  if (found === undefined) return refused({ status: 404, type: 'not_found_error', message: noSuchPath });
  const allow = found.method;
  if (method !== allow) return refused({ ...notAllowed, allow, message: `the model gateway takes only ${allow} here` });
  if (headers.upgrade !== undefined) return refused({ ...notAllowed, allow, message: noUpgrade });
  return { kind: 'passes', target: url, isMetered: found.isMetered };
}

const noSuchPath = 'the model gateway has no such path';
const noUpgrade = 'the model gateway speaks no protocol but HTTP/1.1';
const notAllowed = { status: 405, type: 'invalid_request_error' } as const;

function refused(refusal: Refusal): Target {
  return { kind: 'refused', refusal };
}
