/** What `npm run build` makes, as it is installed: nothing of it is in the sources' folder. */

import { execFile } from 'node:child_process';
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const root = join(import.meta.dirname, '../..');

/** `dist/main.js` in it is the program. */
export async function installBundle(app: string): Promise<void> {
  await promisify(execFile)(process.execPath, ['scripts/build.ts', join(app, 'dist')], { cwd: root });
  cpSync(join(root, 'built-in-skills'), join(app, 'built-in-skills'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(app, 'node_modules'));
}
