import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Answer, type AnswerChange } from '../../src/domain/answer.ts';

/** What a reader has in front of them after these changes. */
function read(changes: AnswerChange[]): string {
  return changes.reduce(
    (text, change) => (change.type === 'chunk' ? text + change.text : text.slice(0, change.keep)),
    '',
  );
}

type Step = ['message'] | ['continues'] | ['restart'] | ['text', string];

function play(steps: Step[]): { changes: AnswerChange[]; answer: Answer } {
  const answer = new Answer();
  const changes: AnswerChange[] = [];
  for (const step of steps) {
    if (step[0] === 'message') changes.push(...answer.beginMessage());
    else if (step[0] === 'continues') changes.push(...answer.beginMessage({ continues: true }));
    else if (step[0] === 'restart') answer.restartMessage();
    else changes.push(...answer.append(step[1]));
  }
  changes.push(...answer.end().changes);
  return { changes, answer };
}

describe('the answer of a run', () => {
  it('keeps the text of a message to the byte', () => {
    const { changes, answer } = play([['message'], ['text', ' The quick'], ['text', ' \n\n'], ['text', 'fox ']]);
    expect(changes).toEqual([
      { type: 'chunk', text: ' The quick' },
      { type: 'chunk', text: ' \n\n' },
      { type: 'chunk', text: 'fox ' },
    ]);
    expect(answer.text).toBe(' The quick \n\nfox ');
  });

  it.each([
    ['a blank line where neither side has white space', 'Let me look.', 'Done.', 'Let me look.\n\nDone.'],
    ['nothing where the first ends with white space', 'Let me look.\n', 'Done.', 'Let me look.\nDone.'],
    ['nothing where the second begins with white space', 'Let me look.', ' Done.', 'Let me look. Done.'],
    ['nothing before the first text', '', 'Done.', 'Done.'],
    ['nothing where the first was hidden', '<internal>x</internal>', 'Done.', 'Done.'],
  ])('puts between two messages of the model: %s', (_title, first, second, expected) => {
    const { answer, changes } = play([['message'], ['text', first], ['message'], ['text', second]]);
    expect(answer.text).toBe(expected);
    expect(read(changes)).toBe(expected);
  });

  it('puts nothing into a word that one message begins and the next ends', () => {
    const { answer } = play([['message'], ['text', 'The lightho'], ['continues'], ['text', 'use is red.']]);
    expect(answer.text).toBe('The lighthouse is red.');
    const owed = play([
      ['message'],
      ['text', 'First.'],
      ['message'],
      ['text', '<internal>x</internal>'],
      ['continues'],
      ['text', 'Second.'],
    ]);
    expect(owed.answer.text).toBe('First.\n\nSecond.');
    const hidden = play([['message'], ['text', 'a<inter'], ['continues'], ['text', 'nal>x</internal>b']]);
    expect(hidden.answer.text).toBe('ab');
  });

  it('does not repeat text that comes again after the stream broke', () => {
    const { changes, answer } = play([
      ['message'],
      ['text', 'Hello wo'],
      ['restart'],
      ['text', 'Hel'],
      ['text', 'lo world'],
    ]);
    expect(changes).toEqual([
      { type: 'chunk', text: 'Hello wo' },
      { type: 'chunk', text: 'rld' },
    ]);
    expect(answer.text).toBe('Hello world');
  });

  it('says how much stands when other text comes after the stream broke', () => {
    const { changes, answer } = play([['message'], ['text', 'Hello wo'], ['restart'], ['text', 'Help is near']]);
    expect(changes).toEqual([
      { type: 'chunk', text: 'Hello wo' },
      { type: 'rewind', keep: 3 },
      { type: 'chunk', text: 'p is near' },
    ]);
    expect(answer.text).toBe('Help is near');
  });

  it('takes back what did not come again before the message ended', () => {
    const { changes, answer } = play([['message'], ['text', 'Hello world'], ['restart'], ['text', 'Hello']]);
    expect(changes.at(-1)).toEqual({ type: 'rewind', keep: 5 });
    expect(answer.text).toBe('Hello');
  });

  it('leaves earlier messages alone when a later one starts over', () => {
    const { changes, answer } = play([
      ['message'],
      ['text', 'One.'],
      ['message'],
      ['text', 'Two'],
      ['restart'],
      ['text', 'Three'],
    ]);
    expect(answer.text).toBe('One.\n\nThree');
    expect(read(changes)).toBe('One.\n\nThree');
  });

  it('forgets a hidden block that a broken stream had opened', () => {
    const { answer } = play([['message'], ['text', 'a<internal>x'], ['restart'], ['text', 'ab']]);
    expect(answer.text).toBe('ab');
    expect(answer.raw).toBe('ab');
  });

  it('never parts a surrogate pair when it rewinds', () => {
    const { changes } = play([['message'], ['text', 'a😀'], ['restart'], ['text', 'a😁']]);
    expect(changes).toContainEqual({ type: 'rewind', keep: 1 });
    expect(read(changes)).toBe('a😁');
  });

  it('shows its reader its text, whatever happens', () => {
    const word = fc.constantFrom('a', 'b', 'ab', ' ', '<internal>', '</internal>', '<in', '😀', 'word');
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 1, arbitrary: fc.constant<Step>(['message']) },
      { weight: 1, arbitrary: fc.constant<Step>(['restart']) },
      { weight: 6, arbitrary: word.map((text): Step => ['text', text]) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { changes, answer } = play([['message'], ...steps]);
        expect(read(changes)).toBe(answer.text);
      }),
      { numRuns: 3000 },
    );
  });

  it('ends with the text of an unbroken stream, however often it broke', () => {
    const text = fc.array(fc.constantFrom('a', 'b', ' ', '<internal>', '</internal>', '\n'), { maxLength: 12 });
    fc.assert(
      fc.property(text, fc.array(text, { maxLength: 4 }), (final, broken) => {
        const again: Step[] = broken.flatMap((words): Step[] => [
          ...words.map((word): Step => ['text', word]),
          ['restart'],
        ]);
        const whole: Step[] = [['message'], ...final.map((word): Step => ['text', word])];
        const interrupted: Step[] = [['message'], ...again, ...final.map((word): Step => ['text', word])];
        expect(play(interrupted).answer.text).toBe(play(whole).answer.text);
      }),
      { numRuns: 3000 },
    );
  });
});
