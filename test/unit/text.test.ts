/** What of a text can be kept. */

import { describe, expect, it } from 'vitest';
import { beginningOf } from '../../src/domain/text.ts';

describe('the beginning of a text', () => {
  it.each([
    ['a text that is short enough is whole', 'abc', 3, 'abc'],
    ['a longer one is cut', 'abcd', 3, 'abc'],
    ['a pair of surrogates that fits is kept', 'a🌱b', 3, 'a🌱'],
    ['a pair of surrogates at the cut is left out', 'a🌱b', 2, 'a'],
    ['a text that ends with a pair is whole', 'a🌱', 3, 'a🌱'],
  ])('%s', (_, text, maxCharacters, expected) => {
    expect(beginningOf(text, maxCharacters)).toBe(expected);
  });
});
