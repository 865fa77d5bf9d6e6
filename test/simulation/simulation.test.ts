// A slice of the seeded simulation: the engine's own code against a real Postgres and three simulated spokes, one thread, virtual time.
// Proves: Law 10, Invariant 1, Invariant 2, Invariant 3
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
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
    'the same seed gives the same trace, in this process and in another',
    async () => {
      const [seed, few] = [15, 20];
      const run = () => simulate({ seed, operations: few, cluster: inject('postgresUrl') });
      const elsewhere = hashElsewhere(seed, few);
      const [first, second] = [await run(), await run()];
      expect(second.trace).toEqual(first.trace);
      expect(second.hash).toBe(first.hash);
      expect(await elsewhere).toBe(first.hash);
    },
    timeoutMs,
  );
});

/** As the long run prints it. */
async function hashElsewhere(seed: number, few: number): Promise<string | undefined> {
  const asked = [
    '--seeds',
    '1',
    '--from',
    String(seed),
    '--operations',
    String(few),
    '--workers',
    '1',
    '--shrink',
    '0',
  ];
  // Nothing of this test run's own settings.
  const { PATH, HOME, TMPDIR } = process.env;
  const env = Object.fromEntries(Object.entries({ PATH, HOME, TMPDIR }).filter(([, value]) => value !== undefined));
  const { stdout } = await promisify(execFile)(process.execPath, ['test/simulation/run.mjs', ...asked], { env });
  return /seed \d+: .* ([0-9a-f]{16})/.exec(stdout)?.[1];
}
