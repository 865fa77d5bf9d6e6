// The kill -9 matrix and the drills of Postgres and of lost answers, for `npm run drills`.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/drills/matrix/*.drill.ts'],
    pool: 'forks',
    maxWorkers: Number(process.env['DRILL_WORKERS'] ?? 2),
    testTimeout: 180_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/global-setup.ts'],
  },
});
