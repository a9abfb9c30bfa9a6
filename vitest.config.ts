import { defineConfig } from 'vitest/config';
import { ClosingLine } from './test/support/closing-line.ts';
import { LongestFirst } from './test/support/longest-first.ts';

/** Processes are real here (server, claude), and half of the time they wait for each other: three files at a time keep 2 cores at work. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'deploy/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new ClosingLine()],
    sequence: { sequencer: LongestFirst },
    maxWorkers: 3,
    expect: { poll: { timeout: 50_000, interval: 20 } },
    // A test that hangs ends some time; one on a machine that is busy with other things is let be.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
