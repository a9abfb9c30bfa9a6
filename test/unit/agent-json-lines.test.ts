/** JSON with lines: what is JSON and what is not, as JSON.parse has it; and where its faults are. */

import fc from 'fast-check';
import { expect, test, vi } from 'vitest';
import { readJsonLines } from '../../src/agent/json-lines.ts';

test('whatever is JSON is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom('', '  ', '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      fc.pre(!text.includes('__proto__'));
      const read = readJsonLines(text);
      expect(read.kind).toBe('value');
      if (read.kind === 'value') expect(read.value).toEqual(JSON.parse(text));
    }),
  );
});

test('what JSON.parse refuses is refused, and nothing else, save a name given twice', () => {
  const damaged = fc
    .tuple(
      fc.jsonValue({ maxDepth: 3 }),
      fc.nat(),
      fc.constantFrom('', '"', '\\', ',', '}', ']', '{', '1', 'x', '\n', ' '),
    )
    .map(([value, at, inserted]) => {
      const text = JSON.stringify(value, null, 1);
      const place = at % (text.length + 1);
      return text.slice(0, place) + inserted + text.slice(place + (at % 2));
    });
  fc.assert(
    fc.property(damaged, (text) => {
      const read = readJsonLines(text);
      if (read.kind === 'malformed' && /given twice|__proto__/.test(read.reason)) return;
      expect(read.kind).toBe(isJson(text) ? 'value' : 'malformed');
    }),
    { numRuns: 2_000 },
  );
});

test('the line of a value is where it begins, and of one that is missing where it should be', () => {
  const read = readJsonLines('{\n  "a": {\n    "b":\n      "c",\n    "d.e": [\n      1,\n      2\n    ]\n  }\n}\n');
  if (read.kind !== 'value') throw new Error(read.reason);
  const lines = ['', 'a', 'a.b', 'a.d.e', 'a.d.e.1', 'a.x', 'a.x.y', 'x'].map(read.lineOf);
  expect(lines).toEqual([1, 2, 4, 5, 7, 2, 2, 1]);
});

const faults: [string, string, number, RegExp][] = [
  ['nothing', '', 1, /value is expected/],
  ['a comma too many', '{\n "a": [1,\n ]\n}', 3, /value is expected/],
  ['a comma after the last member', '{\n "a": 1,\n}', 3, /name in double quotes/],
  ['a comma too few', '{\n "a": 1\n "b": 2\n}', 3, /comma or "}"/],
  ['single quotes', '{\n "a": \'s3cret\'\n}', 2, /value is expected/],
  ['a name without quotes', '{\n a: 1\n}', 2, /name in double quotes/],
  ['no colon', '{\n "a" 1\n}', 2, /colon/],
  ['a comment', '{\n // s3cret\n "a": 1\n}', 2, /name in double quotes/],
  ['a string without an end', '{\n "a": "s3cret\n}', 2, /not closed/],
  ['a line break in a string', '{\n "a": "s3\ncret"\n}', 2, /not closed/],
  ['a bad escape', '{\n "a": "\\s3cret"\n}', 2, /not closed/],
  ['a word that is none', '{\n "a": s3cret\n}', 2, /value is expected/],
  ['more after the end', '{\n}\n{', 3, /has ended/],
  ['a member given twice', '{\n "a": 1,\n "\\u0061": 2\n}', 3, /"a" is given twice/],
  ['a member that sets a prototype', '{\n "__proto__": {}\n}', 2, /__proto__/],
  ['a list without an end', '[\n 1', 2, /comma or "]"/],
  ['too much nesting', '['.repeat(100_000), 1, /64 levels/],
];

for (const [what, text, line, reason] of faults) {
  test(`${what} is told with its line, and nothing of the text`, () => {
    const read = readJsonLines(text);
    expect(read).toEqual({ kind: 'malformed', line, reason: expect.stringMatching(reason) });
    expect(JSON.stringify(read)).not.toContain('cret');
  });
}

const long: [string, string][] = [
  ['letters', 'x'.repeat(20_000_000)],
  ['escapes', '"\n\\'.repeat(3_000_000)],
];

for (const [of, value] of long) {
  test(`a string of millions of ${of} is read`, () => {
    const text = `["",${JSON.stringify(value)}]`;
    const read = readJsonLines(text);
    // Not by toEqual, which would print them.
    expect(read.kind === 'value' && JSON.stringify(read.value) === text).toBe(true);
  });
}

test('an error that is not the JSON’s is not taken for a fault of it', () => {
  vi.spyOn(JSON, 'parse').mockImplementationOnce(() => {
    throw new RangeError('out of memory');
  });
  expect(() => readJsonLines('"a"')).toThrow('out of memory');
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
