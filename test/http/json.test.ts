import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseJson } from '../../src/http/json.ts';

const parameters = { seed: 20_260_131, numRuns: 500 } as const;
const text = fc.string({ unit: 'grapheme' }).map((value) => value.replaceAll('\0', ''));
const json = fc
  .letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      text,
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value)),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(text, tie('value'), { maxKeys: 4 }),
    ),
  }))
  .value.filter((value) => !JSON.stringify(value).includes('__proto__'));

describe('parseJson', () => {
  it('gives what JSON.parse gives, for anything in which nothing is dropped', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(0, 1, '\t'), (value, indent) => {
        expect(parseJson(JSON.stringify(value, null, indent))).toEqual({ kind: 'value', value });
      }),
      parameters,
    );
  });

  it('finds a member given twice, wherever it is and however it is written', () => {
    fc.assert(
      fc.property(json, json, fc.nat(10), (before, after, depth) => {
        const object = `{"b":${JSON.stringify(before)},"twice":1,"a":${JSON.stringify(after)},"tw\\u0069ce":2}`;
        const path = Array.from({ length: depth }, (_, n) => (n % 2 === 0 ? 'in' : '1'));
        const wrapped = path.reduceRight((inner, key) => (key === 'in' ? `{"in":${inner}}` : `[0,${inner}]`), object);
        expect(parseJson(wrapped)).toEqual({
          kind: 'faulty',
          faults: [{ path: [...path, 'twice'].join('.'), message: 'is given twice' }],
        });
      }),
      parameters,
    );
  });

  it('tells a faulty text by its path, among brackets and quotes in strings', () => {
    expect(parseJson('{"a":"]}\\"{[,","b":[{},"x",{"c":"\\ud800"}]}')).toMatchObject({
      faults: [{ path: 'b.2.c', message: 'must be Unicode text, and has half of a surrogate pair in it' }],
    });
  });

  it('takes 64 levels and no more', () => {
    expect(parseJson('['.repeat(64) + ']'.repeat(64)).kind).toBe('value');
    expect(parseJson('['.repeat(65) + ']'.repeat(65)).kind).toBe('faulty');
  });

  it('tells at most 20 faults', () => {
    const parsed = parseJson(`{${Array.from({ length: 100 }, () => '"a":1').join()}}`);
    expect(parsed.kind === 'faulty' && parsed.faults.length).toBe(20);
  });
});
