// The long run: each worker takes every n-th seed. Or the hunt for planted bugs: SIM_BUG names the one that the engine gets.
import { defineConfig } from 'vitest/config';
import { plantedBug } from './planted/plugin.js';

const workers = Number(process.env['SIM_WORKERS'] ?? 2);
const run = process.env['SIM_RUN'] ?? 'seeds';
const bug = process.env['SIM_BUG'] ?? '';
const seeds = workers > 1 ? ['test/simulation/long/*.sim.ts'] : ['test/simulation/long/even.sim.ts'];

export default defineConfig({
  plugins: bug === '' ? [] : [plantedBug(bug)],
  test: {
    include: run === 'seeds' ? seeds : [`test/simulation/planted/${run}.sim.ts`],
    pool: 'forks',
    // A run makes little that lasts and much that does not: a fifth of its time went to collecting it, half of that on other threads,
    // which is no gain where every core has a worker.
    execArgv: [
      '--min-semi-space-size=64',
      '--max-semi-space-size=64',
      '--initial-old-space-size=1024',
      '--single-threaded-gc',
    ],
    maxWorkers: workers,
    testTimeout: 6 * 3_600_000,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
