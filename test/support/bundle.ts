/** What `npm run build` makes, as it is installed: nothing of it is in the sources' folder. */

import { execFile } from 'node:child_process';
import { cpSync, globSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');

/** In the environment of the tests: the folder where `global-setup.ts` has installed it. */
export const appVariable = 'PICOCLAW_TEST_APP';

export function installedApp(): string {
  const app = process.env[appVariable];
  if (app === undefined) throw new Error('only the tests have an installed bundle');
  return app;
}

/** The program in such a folder. */
export function entryIn(app: string): string {
  return join(app, 'dist/main.js');
}

export async function installBundle(app: string): Promise<void> {
  await promisify(execFile)(process.execPath, ['scripts/build.ts', join(app, 'dist')], { cwd: root });
  cpSync(join(root, 'built-in-skills'), join(app, 'built-in-skills'), { recursive: true });
  cpSync(join(root, 'docs/configuration.md'), join(app, 'docs/configuration.md'));
  installAgentSdk(join(app, 'node_modules'));
}

/**
 * The Agent SDK and its program, and nothing else: whatever npm puts beside them is not needed. A copy, as what a link leads to would
 * still find its neighbours; the program (360 MB) has none.
 */
export function installAgentSdk(nodeModules: string): void {
  const sdk = '@anthropic-ai/claude-agent-sdk';
  mkdirSync(join(nodeModules, '@anthropic-ai'), { recursive: true });
  cpSync(join(root, 'node_modules', sdk), join(nodeModules, sdk), { recursive: true });
  for (const name of globSync(`${sdk}-*`, { cwd: join(root, 'node_modules') }))
    symlinkSync(join(root, 'node_modules', name), join(nodeModules, name));
}
