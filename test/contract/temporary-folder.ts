/** A folder for one test: removed when it passes, kept for a look when it fails. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'picoclaw-contract-'));
  onTestFinished(({ task }) => {
    if (task.result?.state === 'fail') console.error(`kept for a look: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}
