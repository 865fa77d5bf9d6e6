// The long run: each worker takes every n-th seed.
import { defineConfig } from 'vitest/config';

const workers = Number(process.env['SIM_WORKERS'] ?? 2);

export default defineConfig({
  test: {
    include: workers > 1 ? ['test/simulation/long/*.sim.ts'] : ['test/simulation/long/even.sim.ts'],
    pool: 'forks',
    maxWorkers: workers,
    testTimeout: 6 * 3_600_000,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
