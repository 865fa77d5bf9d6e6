// A slice of the seeded simulation: the engine's own code against a real Postgres and three simulated spokes, one thread, virtual time.
// Proves: Law 10, Invariant 1, Invariant 2, Invariant 3
import { describe, expect, inject, test } from 'vitest';
import { report } from './report.js';
import { simulate } from './simulate.js';

const operations = 60;
const timeoutMs = 300_000;

describe('the whole engine, order decided by a seed', () => {
  test.each([3, 5, 6])(
    'seed %i keeps every law and comes to rest',
    async (seed) => {
      const result = await simulate({ seed, operations, cluster: inject('postgresUrl') });
      if (result.violations.length > 0) expect.fail(report(result, operations));
      expect(result.edits).toBeGreaterThan(operations);
    },
    timeoutMs,
  );

  test(
    'the same seed gives the same trace',
    async () => {
      const run = () => simulate({ seed: 15, operations: 20, cluster: inject('postgresUrl') });
      const [first, second] = [await run(), await run()];
      expect(second.trace).toEqual(first.trace);
      expect(second.hash).toBe(first.hash);
    },
    timeoutMs,
  );
});
