/** What SKILL.md must hold, and what is said where it does not. */

import { describe, expect, it } from 'vitest';
import { parseSkillFile } from '../../src/skills/skill-file.ts';

const start = '---\nname: greet\n';

describe('a SKILL.md is taken', () => {
  it.each([
    ['as it should be', `${start}description: Greets\n---\nSay hi.`],
    ['with the line ends of Windows', '---\r\nname: greet\r\ndescription: Greets\r\n---\r\nSay hi.'],
    ['with a byte order mark', `\uFEFF${start}description: Greets\n---\n`],
    ['with white space after the dashes', '--- \nname: greet\ndescription: Greets\n---\t\nSay hi.'],
    ['that ends with its front matter', `${start}description: Greets\n---`],
    [
      'with more fields, lists and lines in its front matter',
      `${start}description: >\n  Greets\n  all\nallowed-tools:\n  - Bash\n---\n`,
    ],
    ['with another line of dashes in its text', `${start}description: Greets\n---\n\n---\nSay hi.`],
    ['with a description in another script', `${start}description: 打招呼\n---\n`],
    ['with the longest description', `${start}description: ${'招'.repeat(1024)}\n---\n`],
    ['that gives the description twice', `${start}description: one\ndescription: two\n---\n`],
  ])('%s', (_, text) => {
    expect(parseSkillFile(text, 'greet')).toEqual({ kind: 'skill', warnings: [] });
  });

  // Measured: the agent's program shows each of these descriptions as it is written.
  it.each([
    ['Use when: greeting'],
    ['[draft] greets'],
    ['{x} greets'],
    ['@all greets'],
    ['%greets'],
    ['*greets* all'],
    ['`greets` all'],
    ['> greets all'],
    ['| greets all'],
    ['see http://x.y/z: more'],
  ])('with a warning where the description is no valid YAML but can be read: %s', (description) => {
    expect(parseSkillFile(`${start}description: ${description}\n---\n`, 'greet')).toEqual({
      kind: 'skill',
      warnings: [
        expect.stringMatching(/^SKILL\.md, line 3: not valid YAML \(.+\); text .* must be in quotes; it is read/),
      ],
    });
  });

  it('with a warning where another field is no valid YAML but can be read', () => {
    const parsed = parseSkillFile(`${start}description: Greets\nwhen_to_use: always: now\n---\n`, 'greet');
    expect(parsed).toMatchObject({ kind: 'skill', warnings: [expect.stringContaining('line 4')] });
  });

  it('with a warning where its name is not its folder’s', () => {
    expect(parseSkillFile('---\nname: hello\ndescription: Greets\n---\n', 'greet')).toEqual({
      kind: 'skill',
      warnings: ['SKILL.md gives the name "hello"; the agent knows the skill by its folder, "greet"'],
    });
  });
});

describe('a SKILL.md is refused', () => {
  it.each([
    ['', 'SKILL.md has no front matter; begin it with the lines "---", "name: …", "description: …", "---"'],
    ['Say hi.', 'SKILL.md has no front matter; begin it with the lines "---", "name: …", "description: …", "---"'],
    ['\n---\nname: greet\n---\n', expect.stringContaining('no front matter')],
    [
      `${start}description: Greets\nSay hi.`,
      'SKILL.md has a front matter without an end in its first 16384 bytes; close it with a line "---"',
    ],
    ['---\n---\nSay hi.', 'SKILL.md has no name; add a line "name: …" to its front matter'],
    ['---\n- a\n- b\n---\n', expect.stringContaining('must be lines such as')],
    ['---\ndescription: Greets\n---\n', 'SKILL.md has no name; add a line "name: …" to its front matter'],
    [`${start}---\n`, 'SKILL.md has no description; add a line "description: …" to its front matter'],
    [`${start}description:\n---\n`, 'SKILL.md has no description; add a line "description: …" to its front matter'],
    [
      `${start}Description: Greets\n---\n`,
      'SKILL.md has no description; add a line "description: …" to its front matter',
    ],
    [`${start}description: "  "\n---\n`, 'the description in SKILL.md is blank'],
    [`${start}description: 17\n---\n`, 'the description in SKILL.md must be text; put it in quotes'],
    [`${start}description: [a, b]\n---\n`, 'the description in SKILL.md must be text; put it in quotes'],
    ['---\nname: 42\ndescription: Greets\n---\n', 'the name in SKILL.md must be text; put it in quotes'],
    [
      `${start}description: ${'招'.repeat(1025)}\n---\n`,
      'the description in SKILL.md has 1025 characters; it may have 1024',
    ],
    [
      `---\nname: ${'n'.repeat(65)}\ndescription: Greets\n---\n`,
      'the name in SKILL.md has 65 characters; it may have 64',
    ],
    // The agent's program reads none of these, and would show the first line of the text instead.
    [`${start}description: "open\n---\n`, expect.stringMatching(/^SKILL\.md, line \d: not valid YAML \(/)],
    [`${start}description: "Quoted" and more\n---\n`, expect.stringMatching(/^SKILL\.md, line 3: not valid YAML \(/)],
    [`${start}description: Greets\n\tfoo: bar\n---\n`, expect.stringMatching(/^SKILL\.md, line 4: not valid YAML \(/)],
    [`${start}description: one\n  two: three\n---\n`, expect.stringMatching(/^SKILL\.md, line 3: not valid YAML \(/)],
    [`${start}description: - Greets\n---\n`, expect.stringMatching(/^SKILL\.md, line 3: not valid YAML \(/)],
  ])('%j', (text, fault) => {
    expect(parseSkillFile(text, 'greet')).toEqual({ kind: 'faulty', fault });
  });

  it.each([
    ['nests without end', ` a: ${'['.repeat(10_000)}`],
    ['multiplies by aliases', [' a: &a [x]', ...['a', 'b', 'c'].map(twentyTimes)].join('\n')],
  ])('whose front matter %s', (_, yaml) => {
    const parsed = parseSkillFile(`${start}description: Greets\nmetadata:\n${yaml}\n---\n`, 'greet');
    expect(parsed).toMatchObject({ kind: 'faulty', fault: expect.stringContaining('not valid YAML') });
  });

  it('whose front matter does not end in its first 16 KB', () => {
    const long = (length: number) => `${start}description: Greets\n# ${'x'.repeat(length)}\n---\n`;
    expect(parseSkillFile(long(16_000), 'greet')).toMatchObject({ kind: 'skill' });
    expect(parseSkillFile(long(17_000), 'greet')).toMatchObject({
      kind: 'faulty',
      fault: expect.stringContaining('without an end'),
    });
  });
});

function twentyTimes(anchor: string): string {
  return ` ${anchor}${anchor}: &${String.fromCharCode(anchor.charCodeAt(0) + 1)} [${`*${anchor},`.repeat(20)}]`;
}
