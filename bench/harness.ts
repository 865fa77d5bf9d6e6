// Owns how anything is measured here: both sides in one run, interleaved within each round, the order turned round by round, so
// that a slow minute of the machine hits both. Ratios are formed within a round and only then summarised: never ratio of medians.
import { cpus, loadavg, totalmem } from 'node:os';

/** What one run of one side did. */
export interface Sample {
  readonly units: number;
  readonly seconds: number;
  /** CPU of this process, user and system. */
  readonly cpuSeconds: number;
  /** CPU of all Postgres processes of the run; NaN where the system does not tell. */
  readonly serverCpuSeconds: number;
}

export interface Side {
  readonly name: string;
  run(round: number): Promise<number>;
}

/** Values in order of rounds. */
export interface Series {
  readonly values: readonly number[];
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Goal {
  readonly bound: 'at least' | 'at most';
  readonly value: number;
}

/** One figure of a row: ours, what it is held against, and their ratio. */
export interface Figure {
  readonly what: string;
  readonly unit: string;
  readonly ours: Series;
  readonly reference: { readonly name: string; readonly series: Series } | null;
  /** ours / reference, a value a round. */
  readonly ratio: Series | null;
  /** CPU of both sides of the socket for one unit, ours / reference: steadier than time on a machine that does other things too. */
  readonly cpuRatio?: Series;
  readonly goal: Goal | null;
  readonly note?: string;
}

export interface Row {
  readonly number: number;
  readonly name: string;
  readonly title: string;
  /** Share of the goal's record counts that runs without `--scale`: where all of them take more than some four minutes. Left out = all. */
  readonly usualScale?: number;
  run(bench: Bench): Promise<readonly Figure[]>;
}

/** What a row is given. */
export interface Bench {
  /** Superuser URL of the cluster of this run, without a database. */
  readonly cluster: string;
  /** CPU seconds that the cluster's processes have used so far. */
  serverCpuSeconds(): number;
  /** A smoke run: small, few rounds; its figures mean nothing. */
  readonly quick: boolean;
  readonly rounds: number;
  /** `full` records of the goal, scaled by `--scale`, or `quick`. */
  size(full: number, quick: number): number;
  say(text: string): void;
}

export function series(values: readonly number[]): Series {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
  return { values, median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

/** The value below which `share` of the values lie. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export async function timed(bench: Bench, work: () => Promise<number>): Promise<Sample> {
  const server = bench.serverCpuSeconds();
  const cpu = process.cpuUsage();
  const from = performance.now();
  const units = await work();
  const seconds = (performance.now() - from) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { units, seconds, cpuSeconds: (user + system) / 1e6, serverCpuSeconds: bench.serverCpuSeconds() - server };
}

/** `before` makes a round's input, the same for every side, and is not timed. */
export async function interleave<Name extends string>(
  bench: Bench,
  sides: Readonly<Record<Name, (round: number) => Promise<number>>>,
  hooks: { before?(round: number): Promise<void>; after?(round: number): Promise<void> } = {},
): Promise<Readonly<Record<Name, readonly Sample[]>>> {
  const names = Object.keys(sides) as Name[];
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<Name, Sample[]>;
  for (let round = 0; round < bench.rounds; round += 1) {
    await hooks.before?.(round);
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const sample = await timed(bench, () => sides[name](round));
      samples[name].push(sample);
      const rate = Math.round(sample.units / sample.seconds).toLocaleString('en');
      const cpu = `CPU µs each: ${cpuMicros(sample).toFixed(1)} here, ${serverCpuMicros(sample).toFixed(1)} Postgres`;
      bench.say(`  round ${round + 1} ${name}: ${rate}/s, ${cpu}`);
    }
    await hooks.after?.(round);
  }
  return samples;
}

export const ratePerSecond = (sample: Sample): number => sample.units / sample.seconds;
/** Both sides of the socket: what is left when other programs take the cores away. */
export const allCpuMicros = (sample: Sample): number => cpuMicros(sample) + serverCpuMicros(sample);
export const serverCpuMicros = (sample: Sample): number => (sample.serverCpuSeconds * 1e6) / sample.units;
export const cpuMicros = (sample: Sample): number => (sample.cpuSeconds * 1e6) / sample.units;

/** A figure of two sides that ran in the same rounds. */
export function compare(
  figure: Pick<Figure, 'what' | 'unit' | 'goal'> & { readonly against: string; readonly note?: string },
  ours: readonly Sample[],
  reference: readonly Sample[],
  of: (sample: Sample) => number,
): Figure {
  const [mine, theirs] = [ours.map(of), reference.map(of)];
  const { against, ...rest } = figure;
  return {
    ...rest,
    cpuRatio: series(ours.map((sample, i) => allCpuMicros(sample) / allCpuMicros(reference[i] ?? sample))),
    ours: series(mine),
    reference: { name: against, series: series(theirs) },
    ratio: series(mine.map((value, i) => value / (theirs[i] ?? Number.NaN))),
  };
}

/** A figure with nothing to hold it against. */
export function alone(
  figure: Pick<Figure, 'what' | 'unit' | 'goal'> & { readonly note?: string },
  ours: Series,
): Figure {
  return { ...figure, ours, reference: null, ratio: null };
}

/** What the figures depend on besides us. */
export function machine(): Readonly<Record<string, string | number>> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    loadAtStart: Number((loadavg()[0] ?? 0).toFixed(2)),
    node: process.version,
  };
}
