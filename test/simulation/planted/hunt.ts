// Owns the hunt for one planted bug: seeds one after the other until the oracle sees a law broken. A run that merely breaks catches nothing.
import { dropKept } from '../database.js';
import type { FaultPlan } from '../faults.js';
import { simulate, type SimulationResult } from '../simulate.js';
import { calm } from './plans.js';
import { filesOf, plantedMark, type PlantedBug } from './bug.js';

export interface Hunt {
  readonly bug: string;
  /** null: it escaped. */
  readonly caught: { readonly seed: number; readonly violation: string } | null;
  readonly seeds: number;
  readonly seconds: number;
  readonly operations: number;
  /** Runs that broke without a law broken. */
  readonly broken: readonly string[];
}

export interface HuntOptions {
  readonly cluster: string;
  readonly from: number;
  readonly seeds: number;
  readonly operations: number;
}

/** What the oracle or the run's deadline says, without what any typing mistake would cause. */
export const lawsBroken = ({ violations }: Pick<SimulationResult, 'violations'>): readonly string[] =>
  violations.filter((one) => !/^(the simulation broke|the engine gave up)/.test(one));

export async function hunt(bug: PlantedBug, options: HuntOptions): Promise<Hunt> {
  const started = performance.now();
  checkPlanted(bug);
  const operations = bug.operations ?? options.operations;
  const broken: string[] = [];
  let caught: Hunt['caught'] = null;
  let seeds = 0;
  for (let seed = options.from; caught === null && seed < options.from + options.seeds; seed += 1) {
    const result = await simulate({ seed, operations, cluster: options.cluster, ...optionsOf(bug) });
    seeds += 1;
    const [violation] = lawsBroken(result);
    if (violation !== undefined) caught = { seed, violation };
    else broken.push(...result.violations.map((one) => `seed ${seed}: ${one}`));
  }
  await dropKept();
  const seconds = Math.round((performance.now() - started) / 100) / 10;
  return { bug: bug.name, caught, seeds, seconds, operations, broken };
}

export const optionsOf = (bug: PlantedBug): { readonly plan: Partial<FaultPlan> } => ({
  plan: { ...calm, ...bug.plan },
});

/** The mark is taken away: another bug leaves its own. */
function checkPlanted(bug: PlantedBug): void {
  const left = globalThis as Record<string, unknown>;
  const marks = new Set(left[plantedMark] as string[] | undefined);
  left[plantedMark] = undefined;
  const missing = filesOf(bug).filter((file) => !marks.has(file));
  if (missing.length > 0)
    throw new Error(`planted bug ${bug.name}: the simulation does not load ${missing.join(', ')}`);
}
