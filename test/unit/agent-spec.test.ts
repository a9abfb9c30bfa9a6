/** Whether a process that was started for one run serves another. */

import { describe, expect, test } from 'vitest';
import { decideReuse, type Spec } from '../../src/agent/spec.ts';

const plain: Spec = { fixed: 'a', once: false, model: null, effort: null, thinking: { type: 'disabled' } };

const cases: [string, Partial<Spec>, Partial<Spec>, object][] = [
  ['the same', {}, {}, { kind: 'as_it_is' }],
  ['something only a new process takes up', {}, { fixed: 'b' }, { kind: 'replace' }],
  ['the same, of a process for one run', { once: true }, {}, { kind: 'replace' }],
  ['a model', {}, { model: 'm' }, { kind: 'change', changes: { model: 'm' } }],
  ['another model', { model: 'm' }, { model: 'n' }, { kind: 'change', changes: { model: 'n' } }],
  ['no model, after one', { model: 'm' }, {}, { kind: 'replace' }],
  ['an effort', {}, { effort: 'low' }, { kind: 'change', changes: { effort: 'low' } }],
  ['no effort, after one', { effort: 'low' }, {}, { kind: 'change', changes: { effort: null } }],
  ['thinking', {}, { thinking: on(9) }, { kind: 'change', changes: { thinking: on(9) } }],
  ['as much thinking', { thinking: on(9) }, { thinking: on(9) }, { kind: 'as_it_is' }],
  ['more thinking', { thinking: on(9) }, { thinking: on(10) }, { kind: 'change', changes: { thinking: on(10) } }],
  ['no thinking', { thinking: on(9) }, {}, { kind: 'change', changes: { thinking: { type: 'disabled' } } }],
  [
    'several at once',
    {},
    { model: 'm', effort: 'max', thinking: on(9) },
    { kind: 'change', changes: { model: 'm', effort: 'max', thinking: on(9) } },
  ],
];

describe('a run that wants', () => {
  for (const [what, has, wants, reuse] of cases) {
    test(`${what}: ${JSON.stringify(reuse)}`, () => {
      expect(decideReuse({ ...plain, ...has }, { ...plain, ...wants })).toEqual(reuse);
    });
  }
});

function on(maxTokens: number): Spec['thinking'] {
  return { type: 'enabled', maxTokens };
}
