/**
 * JSON that a person has written, with the line of every value; pure.
 *
 * `JSON.parse` tells the line of some faults only, and quotes the text in others, which may hold secrets: no fault here
 * does. Stricter in two points, where it would drop something silently: no member is given twice, none is `__proto__`.
 */

export type JsonLines =
  /** `lineOf`: from 1, of the value at a path of names joined by dots, or of what is nearest around it. */
  | { kind: 'value'; value: unknown; lineOf: (path: string) => number }
  | { kind: 'malformed'; line: number; reason: string };

export function readJsonLines(text: string): JsonLines {
  const reader = new Reader(text);
  try {
    reader.readAll();
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { kind: 'malformed', line: lineAt(text, error.at), reason: error.message };
  }
  const lineOf = (path: string): number => {
    const at = reader.places.get(path);
    if (at !== undefined) return lineAt(text, at);
    return path === '' ? 1 : lineOf(path.slice(0, Math.max(path.lastIndexOf('.'), 0)));
  };
  return { kind: 'value', value: JSON.parse(text), lineOf };
}

/** No file of ours nests deeper than 5; the limit keeps the recursion safe. */
const maxDepth = 64;

const space = /[ \t\r\n]*/y;
/** Where a number, `true`, `false` or `null` ends: whether it is one, JSON.parse says. */
const scalar = /[^\s,:"{}[\]]+/y;

class Malformed extends Error {
  readonly at: number;

  constructor(at: number, reason: string) {
    super(reason);
    this.at = at;
  }
}

class Reader {
  /** Path → where in the text its value begins. */
  readonly places = new Map<string, number>();
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  readAll(): void {
    this.#value('', 0);
    if (this.#at < this.#text.length) throw new Malformed(this.#at, 'the JSON has ended before this');
  }

  #value(path: string, depth: number): void {
    this.#skip(space);
    this.places.set(path, this.#at);
    if (depth > maxDepth) throw new Malformed(this.#at, `nested more than ${maxDepth} levels deep`);
    if (this.#takes('{')) this.#members(path, depth);
    else if (this.#takes('[')) this.#elements(path, depth);
    else if (this.#text[this.#at] === '"') this.#string();
    else this.#scalar();
    this.#skip(space);
  }

  #members(path: string, depth: number): void {
    const names = new Set<string>();
    this.#skip(space);
    if (this.#takes('}')) return;
    do {
      this.#skip(space);
      const start = this.#at;
      if (this.#text[start] !== '"') throw new Malformed(start, 'a name in double quotes is expected');
      const name = this.#string();
      if (name === '__proto__') throw new Malformed(start, 'no member may have the name __proto__');
      if (names.has(name)) throw new Malformed(start, `${JSON.stringify(name)} is given twice`);
      names.add(name);
      this.#skip(space);
      if (!this.#takes(':')) throw new Malformed(this.#at, 'a colon is expected');
      this.#value(join(path, name), depth + 1);
    } while (this.#takes(','));
    if (!this.#takes('}')) throw new Malformed(this.#at, 'a comma or "}" is expected');
  }

  #elements(path: string, depth: number): void {
    this.#skip(space);
    if (this.#takes(']')) return;
    let index = 0;
    do this.#value(join(path, String(index++)), depth + 1);
    while (this.#takes(','));
    if (!this.#takes(']')) throw new Malformed(this.#at, 'a comma or "]" is expected');
  }

  #string(): string {
    const start = this.#at;
    this.#at = endOfString(this.#text, start);
    return String(this.#parse(start, 'this string is not closed, or holds what must be escaped, such as a line break'));
  }

  #scalar(): void {
    const start = this.#at;
    this.#skip(scalar);
    this.#parse(start, 'a JSON value is expected');
  }

  /** What begins there and has been read to its end. */
  #parse(start: number, reason: string): unknown {
    try {
      return JSON.parse(this.#text.slice(start, this.#at));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new Malformed(start, reason);
    }
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    if (pattern.test(this.#text)) this.#at = pattern.lastIndex;
  }
}

/** Without a regular expression, whose stack a long string exhausts. Of a string that is not closed: the text's end. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function lineAt(text: string, at: number): number {
  return text.slice(0, at).split('\n').length;
}
