/**
 * One environment variable: how it is read, and what the docs say of it.
 *
 * A value is parsed whole or is a fault: nothing is taken in part (`5m` as 5) or replaced by a default. An empty value
 * is the same as none, except where `emptyIsValue`.
 */

import { resolve } from 'node:path';
import { findTimezone } from '../domain/timezone.ts';

export type Setting<T> = {
  variable: string;
  /** What it is for: a sentence or two of the docs. */
  description: string;
  /** What a value must be, after "must be". */
  wants: string;
  /** Undefined when the text is not what is wanted. */
  parse(text: string): T | undefined;
  /** The value when the variable is not set. */
  fallback: T;
  /** The default as the docs say it. */
  defaultText: string;
  /** Never printed, not even in part. */
  secret?: boolean;
  emptyIsValue?: boolean;
};

type About = { variable: string; description: string; defaultText?: string };

export function text<T extends string | null>(about: About & { fallback: T }): Setting<string | T> {
  return { ...about, wants: 'text', parse: (value) => value, defaultText: about.defaultText ?? quoted(about.fallback) };
}

/** Goes into a response header. */
export function headerText<T extends string | null>(about: About & { fallback: T }): Setting<string | T> {
  return {
    ...about,
    wants: 'at most 200 printable ASCII characters',
    parse: (value) => (/^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$/.test(value.trim()) ? value.trim() : undefined),
    defaultText: about.defaultText ?? quoted(about.fallback),
  };
}

export function integer(about: About & { fallback: number; min: number; max: number }): Setting<number> {
  const { min, max } = about;
  return {
    ...about,
    wants: `an integer from ${min} to ${max}, in digits only`,
    parse: (value) => {
      const number = /^\d{1,15}$/.test(value.trim()) ? Number(value) : Number.NaN;
      return number >= min && number <= max ? number : undefined;
    },
    defaultText: quoted(String(about.fallback)),
  };
}

/** Null where it is not set. */
export function optionalInteger(
  about: About & { defaultText: string; min: number; max: number },
): Setting<number | null> {
  const { defaultText, ...rest } = about;
  return { ...integer({ ...rest, fallback: about.min }), fallback: null, defaultText };
}

export function flag(about: About): Setting<boolean> {
  return {
    ...about,
    wants: '`true` or `false`',
    parse: (value) => ({ true: true, false: false })[value.trim()],
    fallback: false,
    defaultText: quoted('false'),
  };
}

export function choice<const T extends string, const F extends string | null>(
  about: About & { fallback: F; values: readonly T[] },
): Setting<T | F> {
  return {
    ...about,
    wants: `one of ${about.values.map((value) => `\`${value}\``).join(', ')}`,
    parse: (value) => about.values.find((one) => one === value.trim()),
    defaultText: about.defaultText ?? quoted(about.fallback),
  };
}

export function httpUrl(about: About): Setting<string | null> {
  return {
    ...about,
    wants: 'an http or https URL',
    parse: (value) => (/^https?:$/.test(URL.parse(value.trim())?.protocol ?? '') ? value.trim() : undefined),
    fallback: null,
    defaultText: about.defaultText ?? quoted(null),
  };
}

/** Relative paths are taken from the working directory of the process. */
export function path<T extends string | null>(about: About & { fallback: T }): Setting<string | T> {
  return {
    ...about,
    wants: 'a path',
    parse: (value) => resolve(value),
    defaultText: about.defaultText ?? quoted(about.fallback),
  };
}

export function timezone(about: About): Setting<string | null> {
  return {
    ...about,
    wants: 'a time zone of the IANA database, such as `Europe/Berlin` or `UTC`',
    parse: (value) => findTimezone(value.trim()) ?? undefined,
    fallback: null,
    defaultText: about.defaultText ?? quoted(null),
  };
}

/** Something that goes into a request header: white space in it is a slip of copying. */
export function secret(about: About): Setting<string | null> {
  return {
    ...about,
    wants: 'visible ASCII characters without white space',
    parse: (value) => (isVisible(value.trim()) ? value.trim() : undefined),
    fallback: null,
    defaultText: about.defaultText ?? quoted(null),
    secret: true,
  };
}

export function secrets(about: About): Setting<string[]> {
  return {
    ...about,
    wants: 'one or several tokens separated by commas, each of visible ASCII characters without white space',
    parse: (value) => {
      const tokens = value.split(',').map((token) => token.trim());
      return tokens.every(isVisible) ? tokens : undefined;
    },
    fallback: [],
    defaultText: about.defaultText ?? quoted(null),
    secret: true,
  };
}

function isVisible(value: string): boolean {
  return /^[\x21-\x7e]+$/.test(value);
}

function quoted(value: string | null): string {
  return value === null || value === '' ? 'none' : `\`${value}\``;
}
