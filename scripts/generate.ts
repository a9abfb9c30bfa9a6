/**
 * Writes the docs that are derived from the code: the settings, the errors, the description of the API.
 *
 *     node scripts/generate.ts            writes them
 *     node scripts/generate.ts --check    writes nothing; exit code 1 names each file that is not what it would write
 */

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import manifest from '../package.json' with { type: 'json' };
import { examples, makeOpenApiDocument } from '../src/http/openapi.ts';
import { routes } from '../src/http/routes/openapi.ts';
import { hasApiTools, renderClientTypes } from './generate/client-types.ts';
import { renderConfiguration } from './generate/configuration.ts';
import { renderEnvExample } from './generate/env-example.ts';
import { renderErrors } from './generate/errors.ts';
import { makeCollection } from './postman/collection.ts';

const root = join(import.meta.dirname, '..');

const document = makeOpenApiDocument(routes, manifest.version);
const toJson = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;

const files: Record<string, () => string | Promise<string>> = {
  '.env.example': renderEnvExample,
  'docs/configuration.md': renderConfiguration,
  'docs/errors.md': renderErrors,
  'docs/api/openapi.json': () => toJson(document),
  'docs/api/openapi.yaml': () => stringify(document, { aliasDuplicateObjects: false, lineWidth: 0 }),
  'docs/api/postman_collection.json': () => toJson(makeCollection({ routes, examples })),
  ...(hasApiTools() ? { 'docs/api/types.ts': () => renderClientTypes(document) } : {}),
};

const check = process.argv.includes('--check');
const stale: string[] = [];
for (const [name, render] of Object.entries(files)) {
  const path = join(root, name);
  const wanted = await render();
  const found = await readFile(path, 'utf8').catch(() => null);
  if (found === wanted) continue;
  stale.push(name);
  if (check) continue;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, wanted);
}
if (!hasApiTools())
  process.stdout.write('docs/api/types.ts is left as it is; for it too, run "npm ci --prefix test/api-tools"\n');
if (check && stale.length > 0) {
  process.stderr.write(`not up to date, run "npm run generate": ${stale.join(', ')}\n`);
  process.exitCode = 1;
} else if (stale.length > 0) {
  process.stdout.write(`written: ${stale.join(', ')}\n`);
}
