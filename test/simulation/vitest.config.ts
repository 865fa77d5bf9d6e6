// The hunt for planted bugs.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/simulation/planted/campaign.sim.ts'],
    pool: 'forks',
    // A run makes little that lasts and much that does not.
    execArgv: [
      '--min-semi-space-size=64',
      '--max-semi-space-size=64',
      '--initial-old-space-size=1024',
      '--single-threaded-gc',
    ],
    testTimeout: 6 * 3_600_000,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
