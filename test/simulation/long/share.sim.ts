// One worker's share of the long run.
import { expect, test } from 'vitest';
import { runSeeds } from './seeds.js';

test('every seed of this worker keeps every law', async () => {
  const { failed } = await runSeeds(Number(process.env['SIM_SHARE'] ?? 0));
  expect(failed).toEqual([]);
});
