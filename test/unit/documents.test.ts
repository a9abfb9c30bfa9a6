/** The documents hold together: every link leads somewhere, and a block of code that nobody would run is noticed. */

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type BlockUse, parseDocument, readDocuments, root } from '../support/documents.ts';

const documents = readDocuments(['*.md', 'docs/**/*.md', 'bench/*.md', 'deploy/*.md', 'deploy/*/*.md']);
const anchorsOf = new Map(documents.map(({ path, anchors }) => [path, anchors]));

describe.each(documents)('$path', ({ path, links }) => {
  it('has only links that lead somewhere', () => {
    expect(links.filter((link) => !leadsSomewhere(path, link))).toEqual([]);
  });
});

/** Addresses on the web are not looked up: whether they answer is not in our hands. */
function leadsSomewhere(from: string, link: string): boolean {
  if (/^(https?|mailto):/.test(link)) return true;
  const [target = '', anchor] = decodeURIComponent(link).split('#');
  const path = target === '' ? from : join(dirname(from), target);
  if (!existsSync(join(root, path))) return false;
  return anchor === undefined || anchorsOf.get(path)?.has(anchor) === true;
}

describe('links', () => {
  it.each([
    ['README.md', 'docs/errors.md', true],
    ['docs/errors.md', '../README.md#settings', true],
    ['README.md', '#settings', true],
    ['README.md', 'docs/no-such-page.md', false],
    ['README.md', '#no-such-heading', false],
    ['docs/errors.md', 'README.md', false],
  ])('of %s: %s leads somewhere: %s', (from, link, expected) => {
    expect(leadsSomewhere(from, link)).toBe(expected);
  });

  it('are found in text, lists and tables', () => {
    const text = 'See [a](a.md).\n\n- [b](b.md#b)\n\n| x |\n| --- |\n| [c](c.md) |\n\n[d]\n\n[d]: d.md\n';
    expect(parseDocument('x.md', text).links).toEqual(['a.md', 'b.md#b', 'c.md', 'd.md']);
  });

  it('may name a heading as GitHub does', () => {
    const { anchors } = parseDocument('x.md', '# A `POST /chat`, twice\n\n## Same\n\n## Same\n');
    expect([...anchors]).toEqual(['a-post-chat-twice', 'same', 'same-1']);
  });
});

describe('blocks', () => {
  it.each<[string, string, BlockUse['kind'][]]>([
    [
      'a command is run, and what follows it as text is what it prints',
      '```sh\nls\n```\n```text\na\n```',
      ['run', 'output'],
    ],
    ['a server is left running', '<!-- a server -->\n```sh\nnpm start\n```', ['server']],
    ['a mark with a reason is enough', '<!-- not run: needs Docker -->\n```sh\ndocker ps\n```', ['marked']],
    ['a mark without a reason is not', '<!-- not run -->\n```sh\ndocker ps\n```', ['refused']],
    ['a mark is for the next block only', '<!-- not run: x -->\n```sh\na\n```\n```sh\nb\n```', ['marked', 'run']],
    ['a mark further away is none', '<!-- not run: x -->\n\nSome text.\n\n```console\na\n```', ['refused']],
    ['a file is saved', '```ts chat.ts\n1\n```', ['save']],
    ['a file without a name is refused', '```ts\n1\n```', ['refused']],
    ['data is parsed', '```json\n{}\n```\n```yaml\na: 1\n```\n```env\nA=1\n```', ['parse', 'parse', 'parse']],
    ['text that nobody prints is refused', 'Look:\n\n```text\na\n```', ['refused']],
    [
      'text after a command that is not run is refused',
      '<!-- not run: x -->\n```sh\na\n```\n```text\na\n```',
      ['marked', 'refused'],
    ],
    ['what has no fence is refused', 'Look:\n\n    ls\n', ['refused']],
    ['what is in a list is refused', '- Look:\n\n  ```sh\n  ls\n  ```\n', ['refused']],
    ['a language that nobody runs is refused', '```ruby\n1\n```', ['refused']],
  ])('%s', (_, text, kinds) => {
    expect(parseDocument('x.md', text).blocks.map(({ use }) => use.kind)).toEqual(kinds);
  });

  it('are found at their lines', () => {
    const { blocks } = parseDocument('x.md', '# A\n\nB\n\n```sh\na\nb\n```\n\n- c\n\n```sh\nd\n```\n');
    expect(blocks.map(({ line }) => line)).toEqual([5, 12]);
  });
});
