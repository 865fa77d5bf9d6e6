// Owns a failing run as data: what it takes to see it again, whatever later becomes of the drawing of plans. Cases whose law was mended
// stay in corpus/ and run with every `npm test`.
import { readFile } from 'node:fs/promises';
import type { FaultPlan } from './faults.js';
import type { SimulationResult } from './simulation.js';

export interface SimulationCase {
  readonly seed: number;
  readonly operations: number;
  /** The whole of it: nothing is drawn when it runs again. */
  readonly plan: FaultPlan;
  /** What it broke when it was found. */
  readonly violation: string;
  readonly law?: string;
  /** Subject of the commit that mended it. */
  readonly mend?: string;
}

export const caseOf = ({ seed, plan, violations }: SimulationResult, operations: number): SimulationCase => ({
  seed,
  operations,
  plan,
  violation: violations[0] ?? '',
});

export async function readCase(file: string): Promise<SimulationCase> {
  return JSON.parse(await readFile(file, 'utf8')) as SimulationCase;
}
