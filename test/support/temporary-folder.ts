/** Folders for tests: removed when what used them passed, kept for a look when it failed. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, onTestFinished } from 'vitest';

/** For one test; called in it, or in a `beforeEach`. */
export function temporaryFolder(): string {
  const folder = makeFolder();
  onTestFinished(({ task }) => end(folder, { failed: task.result?.state === 'fail' }));
  return folder;
}

/** For all tests of a file or of a `describe`; called in there, not in a test. */
export function sharedFolder(): string {
  const folder = makeFolder();
  // Where not even one test began, a `beforeAll` failed.
  let failed: boolean | null = null;
  afterEach(({ task }) => {
    failed = failed === true || task.result?.state === 'fail';
  });
  afterAll(() => end(folder, { failed: failed ?? true }));
  return folder;
}

function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'picoclaw-test-'));
}

function end(folder: string, { failed }: { failed: boolean }): void {
  if (failed) console.error(`kept for a look: ${folder}`);
  else rmSync(folder, { recursive: true, force: true });
}
