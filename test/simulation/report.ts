// Owns what is printed of a failing seed: what broke, with which faults, what happened last, and how to see it again.
import type { SimulationResult } from './simulate.js';

export function report(result: SimulationResult, operations: number): string {
  const { seed, plan, violations, trace } = result;
  return [
    `seed ${seed} broke ${violations.length} law(s):`,
    ...violations.slice(0, 10).map((one) => `  ${one}`),
    `replay: npm run simulate:engine -- --from ${seed} --seeds 1 --operations ${operations}`,
    `faults: ${JSON.stringify(plan)}`,
    'last events:',
    ...trace.slice(-25).map((line) => `  ${line.slice(0, 200)}`),
  ].join('\n');
}
