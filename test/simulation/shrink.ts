// Makes a failing run small: fewer operations, fewer kinds of trouble, one after another, as long as some law still breaks. Each try is a
// whole run of its own, so it ends by the clock; what it has by then is still a failing run.
import type { Fault } from '../../src/connectors/memory/faults.js';
import type { SimulationCase } from './case.js';
import type { FaultPlan } from './faults.js';
import { plainHabits } from './habits.js';
import { spokeNames } from './world.js';

/** Runs a smaller case; null = it keeps every law. */
export type Attempt = (smaller: SimulationCase) => Promise<SimulationCase | null>;

export interface Shrunk {
  readonly smallest: SimulationCase;
  readonly attempts: number;
}

export async function shrink(failing: SimulationCase, attempt: Attempt, inTime: () => boolean): Promise<Shrunk> {
  let smallest = failing;
  let attempts = 0;
  const smaller = async (change: Partial<SimulationCase>): Promise<boolean> => {
    if (!inTime()) return false;
    attempts += 1;
    const found = await attempt({ ...smallest, ...change });
    if (found !== null) smallest = found;
    return found !== null;
  };
  const fewer = async (): Promise<void> => {
    for (const share of [0.25, 0.5, 0.75, 0.9]) {
      const operations = Math.max(1, Math.floor(smallest.operations * share));
      while (operations < smallest.operations && (await smaller({ operations }))) if (operations === 1) return;
    }
  };
  await fewer();
  for (const simpler of simplerPlans(smallest.plan)) {
    const plan = simpler(smallest.plan);
    if (JSON.stringify(plan) !== JSON.stringify(smallest.plan)) await smaller({ plan });
  }
  await fewer();
  return { smallest, attempts };
}

type Simpler = (plan: FaultPlan) => FaultPlan;

const kinds = [
  'crashes',
  'stalls',
  'restarts',
  'clockSteps',
  'forgetsAcks',
  'listings',
  'forgeries',
  'pauses',
  'together',
  'merges',
  'clears',
  'burials',
  'deletes',
] as const;

/** One thing less each: whole families first, then what is left of them. */
function simplerPlans(plan: FaultPlan): readonly Simpler[] {
  const spokeless = spokeNames.map((name): Simpler => (now) => ({ ...now, spokes: { ...now.spokes, [name]: {} } }));
  const rateless = spokeNames.flatMap((name) =>
    (Object.keys(plan.spokes[name].rates ?? {}) as Fault[]).map((fault): Simpler => (now) => {
      const { [fault]: _, ...rates } = now.spokes[name].rates ?? {};
      return { ...now, spokes: { ...now.spokes, [name]: { ...now.spokes[name], rates } } };
    }),
  );
  const calm = (['indexLagMs', 'staleReadMs', 'hintDrop', 'hintDouble', 'hintGap'] as const).flatMap((setting) =>
    spokeNames.map((name): Simpler => (now) => {
      if ((now.spokes[name][setting] ?? 0) === 0) return now;
      return { ...now, spokes: { ...now.spokes, [name]: { ...now.spokes[name], [setting]: 0 } } };
    }),
  );
  return [
    (now) => ({ ...now, faultsMin: 0 }),
    (now) => ({ ...now, idlePolls: 0 }),
    (now) => ({ ...now, ...plainHabits }),
    (now) => ({ ...now, crashpointRate: 0 }),
    (now) => ({ ...now, faultRate: 0 }),
    ...kinds.map((kind): Simpler => (now) => ({ ...now, [kind]: false })),
    (now) => ({ ...now, quotas: [] }),
    (now) => ({ ...now, scripted: [] }),
    ...spokeless,
    ...plan.scripted.map((fault): Simpler => (now) => ({
      ...now,
      scripted: now.scripted.filter((one) => one !== fault),
    })),
    ...rateless,
    ...calm,
  ];
}
