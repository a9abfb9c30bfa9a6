/**
 * JSON from outside, read so that nothing in it is silently dropped or replaced.
 *
 * `JSON.parse` keeps the last of two members of one name, lets `__proto__` through, and makes strings that are not
 * Unicode text or that no database column holds whole. Here each of these is a fault with its path.
 */

import type { FieldError } from '../domain/problem.ts';
import { textFault } from '../domain/text.ts';

export type ParsedJson =
  | { kind: 'value'; value: unknown }
  | { kind: 'malformed'; message: string }
  | { kind: 'faulty'; faults: FieldError[] };

/** No field of the API nests deeper than 5; the limit keeps every later step safe from recursion. */
const maxDepth = 64;
const maxFaults = 20;

export function parseJson(text: string): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { kind: 'malformed', message: error instanceof Error ? error.message : String(error) };
  }
  const faults = findFaults(text);
  return faults.length > 0 ? { kind: 'faulty', faults } : { kind: 'value', value };
}

/** An object or array that the scan is inside of, and where in it. */
type Frame = { keys: Set<string> | null; at: string | number };

/** Walks over the tokens of a text that is known to be valid JSON. */
function findFaults(text: string): FieldError[] {
  const faults: FieldError[] = [];
  const frames: Frame[] = [];
  let keyIsNext = false;
  const add = (message: string) => faults.push({ path: frames.map((frame) => frame.at).join('.'), message });

  for (let index = 0; index < text.length && faults.length < maxFaults; index++) {
    const frame = frames.at(-1);
    switch (text[index]) {
      case '{':
      case '[':
        if (frames.length === maxDepth) {
          add(`is nested more than ${maxDepth} levels deep`);
          return faults;
        }
        keyIsNext = text[index] === '{';
        frames.push(keyIsNext ? { keys: new Set(), at: '' } : { keys: null, at: 0 });
        break;
      case '}':
      case ']':
        frames.pop();
        keyIsNext = false;
        break;
      case ',':
        if (frame?.keys) keyIsNext = true;
        else if (typeof frame?.at === 'number') frame.at++;
        break;
      case '"': {
        const end = endOfString(text, index);
        const content = unquote(text.slice(index, end));
        if (frame?.keys && keyIsNext) {
          keyIsNext = false;
          frame.at = content;
          if (content === '__proto__') add('is not a name that a field may have');
          if (frame.keys.has(content)) add('is given twice');
          frame.keys.add(content);
        }
        const fault = textFault(content);
        if (fault !== null) add(fault);
        index = end - 1;
        break;
      }
      default:
    }
  }
  return faults;
}

/** The index after the closing quote. */
function endOfString(text: string, start: number): number {
  for (let index = start + 1; ; index++) {
    if (text[index] === '\\') index++;
    else if (text[index] === '"') return index + 1;
  }
}

function unquote(quoted: string): string {
  return quoted.includes('\\') ? String(JSON.parse(quoted)) : quoted.slice(1, -1);
}
