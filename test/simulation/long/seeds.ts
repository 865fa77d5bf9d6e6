// Owns the long run: many seeds one after the other, one line each, everything about those that fail, and the smallest run found to
// fail like them.
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { caseOf, readCase, type SimulationCase } from '../case.js';
import type { FaultPlan } from '../faults.js';
import { report, reportShrunk } from '../report.js';
import { shrink } from '../shrink.js';
import { clusterSettings } from '../database.js';
import { startMeter } from '../meter.js';
import { simulate, type SimulationResult } from '../simulate.js';
import { startTestCluster, type TestCluster } from '../../support/global-setup.js';

export interface LongRun {
  readonly seeds: number;
  readonly failed: readonly string[];
}

type Ask = Pick<SimulationCase, 'seed' | 'operations'> & { readonly plan?: Partial<FaultPlan> };

/** Fewer faults than this prove too little (short runs have no time for them). */
const faultsMin = 5;
const operationsMin = 100;

const folder = path.join(tmpdir(), 'truespoke-simulation');
/** Where the trace of every seed is kept; '' = only those of failing seeds. */
const traces = process.env['SIM_TRACES'] ?? '';
const setting = (name: string, otherwise: number): number => Number(process.env[`SIM_${name}`] ?? otherwise);

export async function runSeeds(share: number): Promise<LongRun> {
  for (const each of [folder, traces].filter((name) => name !== '')) await mkdir(each, { recursive: true });
  const failed: string[] = [];
  const asked = await asks(share);
  if (asked.length === 0) return { seeds: 0, failed };
  // Its own cluster: reading the WAL means reading everybody's.
  const cluster = await startTestCluster(clusterSettings);
  try {
    for (const ask of asked) {
      const problem = await runOne(ask, cluster);
      if (problem !== null) failed.push(problem);
    }
  } finally {
    await cluster.stop();
  }
  return { seeds: asked.length, failed };
}

/** `--replay` names a file of a case, or a seed; else every n-th seed is this worker's. */
async function asks(share: number): Promise<readonly Ask[]> {
  const operations = setting('OPERATIONS', 300);
  const replay = process.env['SIM_REPLAY'] ?? '';
  if (replay !== '')
    return share > 0 ? [] : [/^\d+$/.test(replay) ? { seed: Number(replay), operations } : await readCase(replay)];
  const [from, seeds, workers] = [setting('FROM', 1), setting('SEEDS', 100), setting('WORKERS', 1)];
  const mine: Ask[] = [];
  // SIM_PLAN: faults that every seed has, as JSON.
  const plan = JSON.parse(process.env['SIM_PLAN'] ?? '{}') as Partial<FaultPlan>;
  for (let seed = from + share; seed < from + seeds; seed += workers) mine.push({ seed, operations, plan });
  return mine;
}

async function runOne(ask: Ask, cluster: TestCluster): Promise<string | null> {
  const { seed, operations } = ask;
  const spent = await startMeter(cluster.pid);
  const result = await run(ask, cluster.url);
  const cost = await spent();
  const problems = [...result.violations];
  if (process.env['SIM_TWICE'] === '1') {
    const again = await run(ask, cluster.url);
    if (again.hash !== result.hash) {
      problems.push(firstDifference(result.trace, again.trace));
      await writeFile(path.join(folder, `seed-${seed}-again.txt`), again.trace.join('\n'));
    }
  }
  if (problems.length === 0 && operations >= operationsMin && result.faults < faultsMin)
    problems.push(`only ${result.faults} faults`);
  const { events, lives, edits, faults, hash } = result;
  process.stdout.write(
    `seed ${seed}: ${cost}, ${events} events, ${edits} edits, ${lives} lives, ${faults} faults, ${hash}${problems.length > 0 ? ' FAILED' : ''}\n`,
  );
  if (traces !== '') await writeFile(path.join(traces, `seed-${seed}.txt`), result.trace.join('\n'));
  if (problems.length === 0) return null;
  const file = path.join(folder, `seed-${seed}.txt`);
  const text = report({ ...result, violations: problems }, operations);
  process.stdout.write(`${text.slice(0, 3_000)}\n`);
  await writeFile(file, `${text}\n\n${result.trace.join('\n')}\n`);
  if (result.violations.length > 0) await small(result, operations, cluster.url);
  return `seed ${seed}: ${problems.slice(0, 3).join(' | ')} (trace: ${file})`;
}

async function small(result: SimulationResult, operations: number, cluster: string): Promise<void> {
  const endsAt = performance.now() + setting('SHRINK', 120) * 1_000;
  const attempt = async (smaller: SimulationCase): Promise<SimulationCase | null> => {
    const tried = await run(smaller, cluster);
    return tried.violations.length > 0 ? caseOf(tried, smaller.operations) : null;
  };
  const { smallest } = await shrink(caseOf(result, operations), attempt, () => performance.now() < endsAt);
  const file = path.join(folder, `seed-${result.seed}.json`);
  await writeFile(file, `${JSON.stringify(smallest, null, 2)}\n`);
  process.stdout.write(`${reportShrunk(smallest, file)}\n`);
}

const run = ({ seed, operations, plan }: Ask, cluster: string): Promise<SimulationResult> =>
  simulate({ seed, operations, cluster, ...(plan === undefined ? {} : { plan }) });

/** Where two runs of one seed part. */
function firstDifference(one: readonly string[], other: readonly string[]): string {
  const index = one.findIndex((line, i) => line !== other[i]);
  if (index < 0) return `not the same run twice: same events, another final state`;
  const [a, b] = [one, other].map((trace) => trace.slice(Math.max(0, index - 2), index + 2).join(' / '));
  return `not the same trace twice, from line ${index}: ${a} BUT ${b}`;
}
