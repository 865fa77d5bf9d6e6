// Row 13: what a record costs as there are more of them, and as there are more spokes: rows 1, 4, 6 and 10 again at rising sizes. No
// reference: the smaller size is one. Cost is the CPU of both sides of the socket, which other programs disturb least; time is told.
import { acceptAll, emptyContacts } from '../contacts.js';
import { allCpuMicros, alone, series, timed, type Bench, type Figure, type Row, type Sample } from '../harness.js';
import { openHub } from '../hub.js';
import { contactYaml, spoke } from '../records.js';
import { captureRows, dropSlots, insertInto, makeSlots, openStreamHub } from '../stream.js';
import { deliverAll, dirtyRecords } from './06-deliver.js';
import { fillReconcile, sweepOne } from './10-reconcile.js';

/** What is repeated: makes its input for so many records, then does the work once. */
interface Work {
  readonly what: string;
  run(bench: Bench, records: number, spokes: readonly string[]): Promise<Sample>;
}

const slot = 'bench_ours';

const capture: Work = {
  what: 'capture, one-row transactions',
  async run(bench, records, spokes) {
    const hub = await openStreamHub(bench, spokes);
    try {
      await makeSlots(hub, [slot]);
      await insertInto(hub, records, 1);
      const sample = await timed(bench, () => captureRows(hub, slot, records));
      await dropSlots(hub, [slot]);
      return sample;
    } finally {
      await hub.drop();
    }
  },
};

const backfill: Work = {
  what: 'backfill',
  async run(bench, records) {
    const hub = await openHub(bench, contactYaml([spoke]), [spoke]);
    try {
      await emptyContacts(hub);
      return await timed(bench, () => acceptAll(hub, records, () => 0));
    } finally {
      await hub.drop();
    }
  },
};

const deliveries: Work = {
  what: 'delivery path',
  async run(bench, records) {
    const hub = await openHub(bench, contactYaml([spoke]), [spoke]);
    try {
      await dirtyRecords(hub, records, 0);
      await hub.sql('vacuum analyze');
      return await timed(bench, () => deliverAll(hub));
    } finally {
      await hub.drop();
    }
  },
};

const sweep: Work = {
  what: 'reconcile hub ↔ base',
  async run(bench, records, spokes) {
    const hub = await openHub(bench, contactYaml(spokes), spokes);
    try {
      await fillReconcile(hub, records, spokes);
      return await timed(bench, async () => {
        for (const name of spokes) await sweepOne(hub, name, 0);
        return records;
      });
    } finally {
      await hub.drop();
    }
  },
};

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `spoke${i + 1}`);
const growthMax = 1.3;

export const growth: Row = {
  number: 13,
  name: '13-growth',
  title: 'growth: cost of a record with more records, with more spokes',
  usualScale: 0.06,
  async run(bench) {
    // A smaller scale ends sooner: the smallest sizes stay what they are.
    const most = bench.size(5_000_000, 1_000);
    const sizes = bench.quick ? [300, most] : [...[10_000, 100_000, 1_000_000].filter((size) => size < most), most];
    const spread = bench.quick ? 300 : Math.min(most, 100_000);
    const figures: Figure[] = [];
    for (const work of [capture, backfill, deliveries, sweep]) {
      figures.push(await byRecords(bench, work, sizes));
    }
    for (const work of [capture, sweep]) figures.push(await bySpokes(bench, work, spread));
    return figures;
  },
};

/** One pass a size: a size ten times the other is its own repetition. The first of all is done twice, for the compiler's sake. */
async function byRecords(bench: Bench, work: Work, sizes: readonly number[]): Promise<Figure> {
  const [first = 0] = sizes;
  if (!bench.quick) await work.run(bench, first, [spoke]);
  const costs: number[] = [];
  for (const records of sizes) {
    costs.push(
      tell(bench, `${work.what}, ${records.toLocaleString('en')} records`, await work.run(bench, records, [spoke])),
    );
  }
  const steps = costs.slice(1).map((cost, i) => {
    const decades = Math.log10((sizes[i + 1] ?? 1) / (sizes[i] ?? 1));
    return (cost / (costs[i] ?? Number.NaN)) ** (1 / decades);
  });
  const goal = { bound: 'at most', value: growthMax } as const;
  const note = `CPU µs a record: ${costs.map((cost) => cost.toFixed(1)).join(', ')}; every step is a value, the largest counts`;
  return alone({ what: `${work.what}: growth a decade`, unit: '×', goal, note }, worst(steps));
}

async function bySpokes(bench: Bench, work: Work, records: number): Promise<Figure> {
  const counts = bench.quick ? [1, 2] : [2, 4, 8];
  const costs: number[] = [];
  for (const count of counts) {
    const sample = await work.run(bench, records, names(count));
    costs.push(tell(bench, `${work.what}, ${count} spokes`, sample) / count);
  }
  const steps = costs.slice(1).map((cost, i) => cost / (costs[i] ?? Number.NaN));
  const goal = { bound: 'at most', value: linearMax } as const;
  const note = `CPU µs a record and spoke: ${costs.map((cost) => cost.toFixed(1)).join(', ')}`;
  return alone({ what: `${work.what}: cost a spoke when spokes double`, unit: '×', goal, note }, worst(steps));
}

/** Linear: twice the spokes, no more than twice the cost, but for what a measurement strays. */
const linearMax = 1.1;

/** The largest decides. */
function worst(values: readonly number[]): ReturnType<typeof series> {
  return { ...series(values), median: Math.max(...values) };
}

function tell(bench: Bench, what: string, sample: Sample): number {
  const cost = allCpuMicros(sample);
  bench.say(
    `  ${what}: ${cost.toFixed(1)} µs CPU each, ${Math.round(sample.units / sample.seconds).toLocaleString('en')}/s`,
  );
  return cost;
}
