// The long run: each worker takes every n-th seed. Or the hunt for planted bugs: SIM_BUG names the one that the engine gets.
import { defineConfig } from 'vitest/config';
import { plantedBug } from './planted/plugin.js';

const workers = Number(process.env['SIM_WORKERS'] ?? 2);
const run = process.env['SIM_RUN'] ?? 'seeds';
const bug = process.env['SIM_BUG'] ?? '';

/** A project a worker: each runs the same file in a process of its own, and takes its share. */
const shares = Array.from({ length: workers }, (_, share) => ({
  extends: true as const,
  test: { name: `worker ${share}`, include: ['test/simulation/long/share.sim.ts'], env: { SIM_SHARE: String(share) } },
}));

export default defineConfig({
  plugins: bug === '' ? [] : [plantedBug(bug)],
  test: {
    ...(run === 'seeds' ? { projects: shares } : { include: [`test/simulation/planted/${run}.sim.ts`] }),
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
