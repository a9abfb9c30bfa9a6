/** README and guides do what they say: their blocks are run in order, as written, against the server that they start. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { settings } from '../../src/config/settings.ts';
import { startDocumentModel } from '../support/document-model.ts';
import { type Block, type Document, readDocuments, root } from '../support/documents.ts';
import type { Model } from '../support/model.ts';
import { sharedFolder } from '../support/temporary-folder.ts';
import { openTerminal, type Printed, type Terminal } from '../support/terminal.ts';

const documents = readDocuments([
  'README.md',
  'CONTRIBUTING.md',
  'docs/*.md',
  'docs/api/*.md',
  'deploy/{.,aws,alibaba,cloudrun}/*.md',
]);
const readmeServer = documents
  .find(({ path }) => path === 'README.md')
  ?.blocks.find(({ use }) => use.kind === 'server');

/** What the documents use and not every machine has. */
const programs = ['curl', 'jq', 'python3'];
const folders = (process.env.PATH ?? '').split(delimiter);
const missing = programs.filter((program) => !folders.some((folder) => existsSync(join(folder, program))));

let model: Model;
beforeAll(async () => {
  model = await startDocumentModel();
});
afterAll(() => model.stop());

describe.each(documents)('$path', (document) => {
  const { blocks } = document;

  it('has no block that is neither run, read nor marked', () => {
    expect(blocks.flatMap((block) => faultsOf(block, document))).toEqual([]);
  });

  if (blocks.some(({ use }) => use.kind === 'run'))
    describe.skipIf(missing.length > 0)(`run, with ${programs.join(', ')}`, () => runs(document));

  for (const block of blocks)
    if (block.use.kind === 'parse')
      it(`line ${block.line}: what is in the block of ${block.language} is well-formed`, () => parse(block));
});

function runs({ blocks }: Document): void {
  const dir = sharedFolder();
  let terminal: Terminal;
  const printed = new Map<Block, Printed>();

  beforeAll(async () => {
    terminal = openTerminal({ dir, env: readersEnv(dir, model.url) });
    const server = blocks.find(({ use }) => use.kind === 'server') ?? readmeServer;
    await terminal.serve(server?.text ?? '');
  });
  afterAll(() => terminal[Symbol.asyncDispose]());

  for (const block of blocks) {
    const { line, name, text, use } = block;
    if (use.kind === 'save' && name !== null)
      it(`line ${line}: ${name} is written down`, () => terminal.save(name, text));
    if (use.kind === 'run')
      it(`line ${line}: ${text.split('\n')[0]}`, async () => {
        const result = await terminal.run(text);
        printed.set(block, result);
        const isShown = blocks.some((other) => other.use.kind === 'output' && other.use.of === block);
        if (!isShown)
          expect(result.stdout, 'a refusal that the document does not show').not.toContain('urn:picoclaw:problem');
      });
    if (use.kind === 'output')
      it(`line ${line}: that is what it prints`, () => {
        expect(printed.get(use.of)?.stdout.trim()).toMatch(patternOf(text));
      });
  }
  if (blocks.some(({ language, use }) => language === 'ts' && use.kind === 'save'))
    it('its TypeScript has no type errors', () => typeCheck(dir));
}

function faultsOf(block: Block, { blocks }: Document): string[] {
  const { line, name, use } = block;
  if (use.kind === 'refused') return [`line ${line}: ${use.why}`];
  if (use.kind !== 'save' || name === null) return [];
  const later = blocks.slice(blocks.indexOf(block) + 1);
  // A program has to be named by what uses it; what the server reads has only to be there before the next command.
  const isProgram = /\.(ts|py)$/.test(name);
  const isUsed = later.some((other) => isSavedOrRun(other) && (!isProgram || other.text.includes(name)));
  return isUsed ? [] : [`line ${line}: no block after it uses ${name}`];
}

function isSavedOrRun({ use }: Block): boolean {
  return use.kind === 'save' || use.kind === 'run';
}

function parse({ language, text }: Block): void {
  if (language === 'json') JSON.parse(text);
  if (language === 'yaml') expect(parseAllDocuments(text).flatMap(({ errors }) => errors)).toEqual([]);
  if (language === 'env') {
    const known = Object.values(settings).map(({ variable }) => variable);
    expect(known).toEqual(expect.arrayContaining(Object.keys(parseEnv(text))));
  }
}

/** What the documents leave to whoever runs them. Nothing else of the test's own environment. */
function readersEnv(dir: string, modelUrl: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    HOME: dir,
    TMPDIR: dir,
    TZ: 'UTC',
    PORT: '0',
    LOG_FORMAT: 'json',
    LOCAL_DB_PATH: join(dir, 'local.db'),
    ANTHROPIC_BASE_URL: modelUrl,
  };
}

/** `…` stands for anything. */
function patternOf(text: string): RegExp {
  return new RegExp(`^${text.trim().split('…').map(escaped).join('[^]*?')}$`);
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

async function typeCheck(dir: string): Promise<void> {
  writeFileSync(
    join(dir, 'tsconfig.guide.json'),
    JSON.stringify({ extends: join(root, 'tsconfig.json'), include: ['*.ts'], exclude: ['vitest.config.ts'] }),
  );
  const tsc = spawn('tsc', ['--project', 'tsconfig.guide.json'], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  tsc.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [code] = await once(tsc, 'close');
  expect({ said, code }).toEqual({ said: '', code: 0 });
}
