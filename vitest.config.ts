import { defineConfig } from 'vitest/config';

/** Processes are real here (server, claude), so files run two at a time: the machine the suite is sized for has 2 cores. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
