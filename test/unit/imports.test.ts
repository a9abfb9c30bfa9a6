/** Keeps the table of DESIGN.md, "The house", true: which folder may import which, and who alone may import a package. */

import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** Room → the rooms it may import besides itself. A port is a single file of another room. */
const mayImport: Record<string, string[]> = {
  domain: [],
  lib: ['domain'],
  store: ['domain', 'lib'],
  agent: ['domain', 'lib'],
  tools: ['domain', 'lib', 'tasks', 'conversations'],
  runs: ['domain', 'lib', 'store/store.ts', 'agent/agent.ts'],
  conversations: ['domain', 'lib', 'runs', 'store/store.ts'],
  tasks: ['domain', 'lib', 'runs', 'store/store.ts'],
  skills: ['domain', 'lib', 'runs', 'store/store.ts'],
  http: ['domain', 'lib', 'conversations', 'tasks', 'skills'],
  config: ['domain'],
  'config.ts': ['domain', 'lib', 'config', '../package.json'],
  'server-files.ts': ['agent', 'lib', 'config.ts'],
  'runtime.ts': ['*'],
  'main.ts': ['*'],
  cli: ['*'],
};

/** Package → the only places that may import it; types excepted. */
const keepers: Record<string, string[]> = {
  '@anthropic-ai/claude-agent-sdk': ['agent/claude.ts'],
  'node:sqlite': ['store/'],
  kysely: ['store/'],
  hono: ['http/'],
  '@hono/node-server': ['http/'],
  '@hono/zod-openapi': ['http/'],
  pino: ['lib/log.ts'],
  'pino-pretty': ['lib/log.ts'],
  '@modelcontextprotocol/sdk': ['tools/mcp-server.ts', 'cli/mcp.ts', 'agent/mcp-'],
  '@copilotkit/aimock': ['cli/'],
};

type Import = { file: string; specifier: string; typeOnly: boolean; lazy: boolean };

const imports = globSync('src/**/*.ts', { cwd: root }).flatMap((path): Import[] => {
  const text = readFileSync(join(root, path), 'utf8');
  const file = relative('src', path);
  const statements = text.matchAll(/^(import|export)\s+(type\s+)?(?:[^;'"]*?from\s+)?'([^']+)'/gm);
  const dynamic = text.matchAll(/\bimport\(\s*'([^']+)'/g);
  return [
    ...[...statements].map((match) => ({
      file,
      specifier: match[3] ?? '',
      typeOnly: match[2] !== undefined,
      lazy: false,
    })),
    ...[...dynamic].map((match) => ({ file, specifier: match[1] ?? '', typeOnly: false, lazy: true })),
  ];
});

describe('the rooms of src/', () => {
  it('are found', () => {
    expect(imports.length).toBeGreaterThan(50);
  });

  it('import only what they may', () => {
    const wrong = imports.filter(({ file, specifier }) => {
      if (!specifier.startsWith('.')) return false;
      const target = join(dirname(file), specifier);
      const room = roomOf(file);
      const allowed = [room, ...(mayImport[room] ?? [])];
      return !allowed.some((place) => place === '*' || target === place || target.startsWith(`${place}/`));
    });
    expect(wrong).toEqual([]);
  });

  it('leave each package to its keeper', () => {
    const wrong = imports.filter(({ file, specifier, typeOnly }) => {
      const name = Object.keys(keepers).find((key) => specifier === key || specifier.startsWith(`${key}/`));
      const places = name === undefined ? undefined : keepers[name];
      if (places === undefined) return false;
      const own = places.some((place) => file.startsWith(place));
      return !own && !(typeOnly && places.some((place) => roomOf(place) === roomOf(file)));
    });
    expect(wrong).toEqual([]);
  });

  it('have no room that the table does not name', () => {
    expect([...new Set(imports.map(({ file }) => roomOf(file)))].filter((room) => !(room in mayImport))).toEqual([]);
  });

  it('load nothing before the server listens but what it takes to answer GET /health', () => {
    expect(packagesLoadedWith('cli/serve.ts')).toEqual([
      'croner',
      'kysely',
      'kysely/migration',
      'p-limit',
      'pino',
      'zod/mini',
    ]);
  });

  it('load the description of the API only when somebody asks for it', () => {
    const files = filesLoadedWith('http/app.ts');
    expect(files).toContain('http/routes/openapi.ts');
    expect(files.filter((file) => /examples|openapi-parts|chat-events-json|http\/openapi/.test(file))).toEqual([]);
  });

  it('name every import with its file ending, as Node resolves it', () => {
    expect(imports.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json)$/.test(specifier))).toEqual([]);
  });
});

function roomOf(file: string): string {
  return file.split('/')[0] ?? file;
}

/** Packages that are loaded as soon as the file is, without a call. */
function packagesLoadedWith(entry: string): string[] {
  const specifiers = filesLoadedWith(entry)
    .flatMap(importsOf)
    .filter((specifier) => !/^(\.|node:)/.test(specifier));
  return [...new Set(specifiers)].sort();
}

/** Files of ours that are, itself included. */
function filesLoadedWith(entry: string): string[] {
  const files = new Set([entry]);
  for (const file of files)
    for (const specifier of importsOf(file).filter((each) => each.startsWith('.')))
      files.add(join(dirname(file), specifier));
  return [...files];
}

function importsOf(file: string): string[] {
  return imports.filter((each) => each.file === file && !each.typeOnly && !each.lazy).map(({ specifier }) => specifier);
}
