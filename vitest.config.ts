import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // Whole engines and clusters start and stop in a test; on a busy machine each start takes seconds.
    testTimeout: 90_000,
    hookTimeout: 60_000,
    // A poll waits for a condition; how long is no promise of ours. What is one is measured in the test.
    expect: { poll: { timeout: 10_000 } },
    globalSetup: ['test/support/global-setup.ts'],
  },
});
