/**
 * SKILL.md's front matter, judged; pure.
 *
 * The agent's program forgives much: without a description it shows the first line of the text, and a value that is not
 * valid YAML (`description: Use when: …`, the usual slip) it reads as if it were in quotes. What it reads so is taken here
 * too, with a warning; what it would misread is a fault.
 */

import { parseDocument } from 'yaml';
import { z } from 'zod';

export type SkillFile = { kind: 'skill'; warnings: string[] } | { kind: 'faulty'; fault: string };

/** Characters, as the specification of the format (agentskills.io) has them. */
const maxName = 64;
const maxDescription = 1024;

/** Characters, from the beginning of the file: what reading them costs grows faster than they do. */
export const maxFrontMatter = 16_384;

/** `folder`: the name of the skill's folder, which is the name that the agent knows. */
export function parseSkillFile(text: string, folder: string): SkillFile {
  const frontMatter = takeFrontMatter(text);
  if (frontMatter === null) return faulty('has no front matter', 'begin it with the lines', template);
  if (frontMatter === 'open')
    return faulty(
      `has a front matter without an end in its first ${maxFrontMatter} bytes`,
      'close it with a line',
      '"---"',
    );

  const read = readFields(frontMatter);
  if (read.kind === 'faulty') return read;
  const { name } = read.fields;
  const fault = fieldFault(read.fields, 'name', maxName) ?? fieldFault(read.fields, 'description', maxDescription);
  if (fault !== null) return { kind: 'faulty', fault };
  if (name !== folder)
    read.warnings.push(
      `SKILL.md gives the name ${JSON.stringify(name)}; the agent knows the skill by its folder, ${JSON.stringify(folder)}`,
    );
  return { kind: 'skill', warnings: read.warnings };
}

const template = '"---", "name: …", "description: …", "---"';

function faulty(...parts: [what: string, remedy: string, text: string]): SkillFile {
  const [what, remedy, text] = parts;
  return { kind: 'faulty', fault: `SKILL.md ${what}; ${remedy} ${text}` };
}

/** Null: there is none. */
function takeFrontMatter(text: string): string | 'open' | null {
  const opening = /^\uFEFF?---[ \t]*\r?\n/.exec(text);
  if (opening === null) return null;
  const rest = text.slice(opening[0].length, maxFrontMatter);
  const closing = /^---[ \t]*\r?$/m.exec(rest);
  return closing === null ? 'open' : rest.slice(0, closing.index);
}

type Fields = Record<string, unknown>;
type ReadFields = { kind: 'fields'; fields: Fields; warnings: string[] } | { kind: 'faulty'; fault: string };

function readFields(yaml: string): ReadFields {
  const strict = parseYaml(yaml);
  if (strict.kind === 'faulty') {
    const forgiving = parseYaml(yaml.split(/\r?\n/).map(quoteValue).join('\n'));
    if (forgiving.kind === 'faulty') return strict;
    return { ...forgiving, warnings: [`${strict.fault}; it is read as if it were`] };
  }
  return strict;
}

function parseYaml(yaml: string): ReadFields {
  try {
    // Of a key that is given twice the last counts, as for the agent.
    const document = parseDocument(yaml, { prettyErrors: false, uniqueKeys: false });
    const [error] = document.errors;
    if (error) return { kind: 'faulty', fault: yamlFault(error.message, lineOf(yaml, error.pos[0])) };
    const fields = z.record(z.string(), z.unknown()).safeParse(document.toJS() ?? {});
    if (fields.success) return { kind: 'fields', fields: fields.data, warnings: [] };
    return { kind: 'faulty', fault: `the front matter of SKILL.md must be lines such as ${template}` };
  } catch (error) {
    // Aliases that multiply, nesting without end.
    return { kind: 'faulty', fault: yamlFault(error instanceof Error ? error.message : String(error), null) };
  }
}

function yamlFault(message: string, line: number | null): string {
  const where = line === null ? 'SKILL.md' : `SKILL.md, line ${line}`;
  return `${where}: not valid YAML (${message}); text with special characters must be in quotes`;
}

/** In the file, where the front matter begins on the second line. */
function lineOf(yaml: string, offset: number): number {
  return yaml.slice(0, offset).split('\n').length + 1;
}

/** A line `key: value` whose value has special characters and no quotes, with quotes. */
function quoteValue(line: string): string {
  const [, key, value] = /^([A-Za-z_][\w-]*):[ \t]+([^"'\s].*)$/.exec(line.trimEnd()) ?? [];
  if (key === undefined || value === undefined || !/[{}[\]*&#!|>%@`]|: /.test(value)) return line;
  return `${key}: ${JSON.stringify(value)}`;
}

function fieldFault(fields: Fields, name: 'name' | 'description', maxCharacters: number): string | null {
  const value = fields[name];
  if (value === undefined || value === null)
    return `SKILL.md has no ${name}; add a line "${name}: …" to its front matter`;
  if (typeof value !== 'string') return `the ${name} in SKILL.md must be text; put it in quotes`;
  if (value.trim() === '') return `the ${name} in SKILL.md is blank`;
  const characters = [...value].length;
  return characters > maxCharacters
    ? `the ${name} in SKILL.md has ${characters} characters; it may have ${maxCharacters}`
    : null;
}
