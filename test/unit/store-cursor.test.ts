/** A cursor leads on where its list ended, and nothing else is taken for one. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fromCursor, toPage } from '../../src/store/queries/cursor.ts';
import { InvalidCursor } from '../../src/store/store.ts';

const toItem = (row: { seq: number }) => row.seq;

it('goes on after the last row of the page', () => {
  const rows = [{ seq: 9 }, { seq: 7 }, { seq: 4 }];
  const page = toPage({ list: 'a', rows, limit: 2, toItem });
  expect(page.items).toEqual([9, 7]);
  expect(fromCursor('a', page.nextCursor)).toBe(7);
});

it('starts at the beginning without one', () => {
  expect(fromCursor('a', null)).toBeNull();
});

it('is good for its own list only', () => {
  const { nextCursor } = toPage({ list: 'messages/conv-1', rows: [{ seq: 1 }, { seq: 2 }], limit: 1, toItem });
  expect(() => fromCursor('messages/conv-2', nextCursor)).toThrow(InvalidCursor);
});

it('is nothing that a caller made up', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.json().map((json) => Buffer.from(json).toString('base64url')),
    fc
      .record({ list: fc.constant('a'), after: fc.oneof(fc.double({ max: -1 }), fc.string(), fc.constant(null)) })
      .map((value) => Buffer.from(JSON.stringify(value)).toString('base64url')),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect(() => fromCursor('a', text)).toThrow(InvalidCursor);
    }),
  );
});
