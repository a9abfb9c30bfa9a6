import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { endFilter, filterText, initialFilterState } from '../../src/domain/internal-filter.ts';

function filterAll(pieces: string[]): { visible: string; dropped: number } {
  let state = initialFilterState;
  let visible = '';
  for (const piece of pieces) {
    const step = filterText(state, piece);
    state = step.state;
    visible += step.visible;
  }
  const end = endFilter(state);
  return { visible: visible + end.visible, dropped: end.droppedCharacters };
}

describe('the <internal> filter', () => {
  it.each([
    ['text without a tag is unchanged', ['  a b \n\n c  '], '  a b \n\n c  '],
    ['a block is removed and nothing around it is trimmed', ['a <internal>x</internal> b'], 'a  b'],
    ['a tag split over deltas is a tag', ['a<inte', 'rnal>secret</int', 'ernal>b'], 'ab'],
    ['several blocks go', ['<internal>1</internal>a<internal>2</internal>b'], 'ab'],
    ['what only looked like a tag is text', ['a <inter', 'esting> b'], 'a <interesting> b'],
    ['the beginning of a tag at the end of the text is text', ['a <intern'], 'a <intern'],
    ['an unclosed block stays hidden', ['a<internal>secret'], 'a'],
    ['a nested opening tag is part of the block', ['a<internal>x<internal>y</internal>b'], 'ab'],
    ['a closing tag alone is text', ['a</internal>b'], 'a</internal>b'],
    ['a bracket before a tag is text', ['<<internal>x</internal>'], '<'],
  ])('%s', (_title, pieces, expected) => {
    expect(filterAll(pieces).visible).toBe(expected);
  });

  it('counts what an unclosed block hides, a half closing tag included', () => {
    expect(filterAll(['a<internal>12345</inte']).dropped).toBe('12345</inte'.length);
    expect(filterAll(['a<internal>12345</internal>']).dropped).toBe(0);
  });

  it('lets through the same text however it is split', () => {
    const part = fc.constantFrom(
      '<internal>',
      '</internal>',
      '<int',
      'ernal>',
      '<',
      '>',
      ' ',
      '\n',
      'a',
      'word',
      '😀',
      '</',
    );
    const text = fc.array(part, { maxLength: 30 }).map((parts) => parts.join(''));
    const cuts = fc.array(fc.nat(200), { maxLength: 12 });
    fc.assert(
      fc.property(text, cuts, (whole, positions) => {
        const visible = whole.replaceAll(/<internal>[\s\S]*?(?:<\/internal>|$)/g, '');
        expect(filterAll(split(whole, positions)).visible).toBe(visible);
      }),
      { numRuns: 2000 },
    );
  });
});

function split(text: string, positions: number[]): string[] {
  const cuts = [0, ...positions.map((position) => position % (text.length + 1)).sort((a, b) => a - b), text.length];
  return cuts.slice(1).map((cut, index) => text.slice(cuts[index], cut));
}
