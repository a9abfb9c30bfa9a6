/**
 * docs/api/types.ts: the API as TypeScript types, for a client of `openapi-fetch`. The tool that makes them wants a compiler of
 * its own, so it is not among the project's dependencies, but in test/api-tools.
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const tool = join(import.meta.dirname, '../../test/api-tools/node_modules/openapi-typescript/bin/cli.js');

export function hasApiTools(): boolean {
  return existsSync(tool);
}

export async function renderClientTypes(document: object): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'picoclaw-types-'));
  try {
    const [from, to] = [join(dir, 'openapi.json'), join(dir, 'types.ts')];
    await writeFile(from, JSON.stringify(document));
    await promisify(execFile)(process.execPath, [tool, from, '--output', to, '--default-non-nullable=false'], {
      cwd: dir,
    });
    return await readFile(to, 'utf8');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
