// Owns what is printed of a failing seed: what broke, with which faults, what happened last, and how to see it again.
import type { SimulationCase } from './case.js';
import type { SimulationResult } from './simulation.js';

export function report(result: SimulationResult, operations: number): string {
  const { seed, plan, violations, trace } = result;
  return [
    `seed ${seed} broke ${violations.length} law(s):`,
    ...violations.slice(0, 10).map((one) => `  ${one}`),
    `replay: npm run simulate:engine -- --replay ${seed} --operations ${operations}`,
    `faults: ${JSON.stringify(plan)}`,
    'last events:',
    ...trace.slice(-25).map((line) => `  ${line.slice(0, 200)}`),
  ].join('\n');
}

/** The smallest run that was found to fail the same seed, and where it is kept. */
export function reportShrunk({ operations, plan, violation }: SimulationCase, file: string): string {
  return [
    `shrunk to ${operations} operations: ${violation}`,
    `replay: npm run simulate:engine -- --replay ${file}`,
    `faults left: ${JSON.stringify(plan)}`,
  ].join('\n');
}
