/**
 * The project's documents, as their reader meets them: code blocks, and links with what they lead to.
 *
 * A block says in its info string what it is, and a comment before it may say more:
 *
 *     ```sh                        is run, in the same terminal as those before it
 *     ```text                      after one that is run: what it prints, with … for what varies
 *     ```ts chat.ts                is saved under that name and checked; a later block runs it
 *     ```json, ```yaml, ```env     is parsed
 *     <!-- a server -->            the next block is a server: it is left running for the rest of the document
 *     <!-- not run: why -->        the next block is only to be read
 */

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import GithubSlugger from 'github-slugger';
import { lexer, type Token, type Tokens, walkTokens } from 'marked';

export const root = join(import.meta.dirname, '../..');

/** `name`: of the file that it is to be saved as. */
export type Block = { line: number; language: string; name: string | null; text: string; use: BlockUse };

export type BlockUse =
  | { kind: 'run' | 'server' | 'save' | 'parse' | 'marked' }
  | { kind: 'output'; of: Block }
  | { kind: 'refused'; why: string };

export type Document = {
  path: string;
  blocks: Block[];
  /** Where its links lead to, as they are written. */
  links: string[];
  /** What a link may name after `#`. */
  anchors: Set<string>;
};

export function readDocuments(patterns: string[]): Document[] {
  return globSync(patterns, { cwd: root })
    .sort()
    .map((path) => parseDocument(path, readFileSync(join(root, path), 'utf8')));
}

export function parseDocument(path: string, text: string): Document {
  const tokens = lexer(text);
  const anchors = new Set<string>();
  const links: string[] = [];
  const slugger = new GithubSlugger();
  void walkTokens(tokens, (token) => {
    if (token.type === 'heading') anchors.add(slugger.slug(plainText(token.tokens ?? [])));
    if (token.type === 'link' || token.type === 'image') links.push(token.href);
  });
  return { path, blocks: blocksOf(tokens), links, anchors };
}

function blocksOf(tokens: Token[]): Block[] {
  const blocks: Block[] = [];
  let line = 1;
  let mark: string | null = null;
  for (const token of tokens) {
    if (token.type === 'code') {
      blocks.push(toBlock(token as Tokens.Code, { line, mark, before: blocks.at(-1) ?? null }));
    } else {
      void walkTokens([token], (inner) => {
        if (inner.type === 'code')
          blocks.push(refused(line, inner.text, 'a block inside of a list or a quote is not run'));
      });
    }
    if (token.type !== 'space') mark = token.type === 'html' ? markOf(token.raw) : null;
    line += token.raw.split('\n').length - 1;
  }
  return blocks;
}

function toBlock(token: Tokens.Code, at: { line: number; mark: string | null; before: Block | null }): Block {
  if (token.codeBlockStyle === 'indented')
    return refused(at.line, token.text, 'it has no fence, so it cannot say what it is');
  const [language = '', name = null] = (token.lang ?? '').split(/\s+/);
  return { line: at.line, language, name, text: token.text, use: useOf({ language, name, ...at }) };
}

function useOf(input: { language: string; name: string | null; mark: string | null; before: Block | null }): BlockUse {
  const { language, name, mark, before } = input;
  if (mark !== null && /^not run: \S/.test(mark)) return { kind: 'marked' };
  if (mark !== null && mark !== 'a server') return { kind: 'refused', why: `nobody knows the mark "${mark}"` };
  if (language === 'sh') return { kind: mark === null ? 'run' : 'server' };
  if (mark !== null) return { kind: 'refused', why: 'a server is started by a block of sh' };
  if (name !== null) return { kind: 'save' };
  if (language === 'json' || language === 'yaml' || language === 'env') return { kind: 'parse' };
  if (language === 'text' && before?.use.kind === 'run') return { kind: 'output', of: before };
  return { kind: 'refused', why: `"${language}" is neither run, saved, parsed nor marked` };
}

function refused(line: number, text: string, why: string): Block {
  return { line, language: '', name: null, text, use: { kind: 'refused', why } };
}

function markOf(html: string): string | null {
  return /^<!--\s*(a server|not run\b.*?)\s*-->\s*$/s.exec(html)?.[1] ?? null;
}

function plainText(tokens: Token[]): string {
  return tokens
    .map((token) =>
      'tokens' in token && token.tokens !== undefined
        ? plainText(token.tokens)
        : 'text' in token
          ? token.text
          : token.raw,
    )
    .join('');
}
