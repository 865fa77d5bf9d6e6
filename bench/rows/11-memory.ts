// Row 11: memory of the engine's process, fresh for each case: one source transaction of a million rows; a backfill of five million
// records; two hundred thousand open deliveries while their spoke is down. One pass each: memory has no noise worth repeating for.
import type { BenchSpoke, Memory } from '../children/engine-setup.js';
import { alone, series, type Bench, type Figure, type Row } from '../harness.js';
import { openHub, type BenchHub } from '../hub.js';
import { pause, plainSpoke, startEngine, until, type LiveEngine } from '../live.js';
import { contactYaml } from '../records.js';
import { insertInto, linkRecords, openStreamHub, recordYaml } from '../stream.js';

const limitMb = 300;

export const memory: Row = {
  number: 11,
  name: '11-memory',
  title: 'memory of the engine process',
  usualScale: 0.2,
  async run(bench) {
    return [...(await hugeTransaction(bench)), ...(await longBackfill(bench)), ...(await spokeDown(bench))];
  },
};

async function hugeTransaction(bench: Bench): Promise<readonly Figure[]> {
  const rows = bench.size(1_000_000, 1_000);
  const hub = await openStreamHub(bench, [plainSpoke.name]);
  try {
    await insertInto(hub, rows, Math.min(rows, 10_000));
    await linkRecords(hub, [plainSpoke.name]);
    return await during(bench, hub, `one transaction of ${rows.toLocaleString('en')} rows`, {
      yaml: recordYaml([plainSpoke.name]),
      spoke: plainSpoke,
      async work(engine) {
        await engine.settled();
        await engine.child.ask('memory', null);
        await hub.sql('update hub.record set size = size + 1');
        await engine.settled();
      },
    });
  } finally {
    await hub.drop();
  }
}

async function longBackfill(bench: Bench): Promise<readonly Figure[]> {
  const listed = bench.size(5_000_000, 1_000);
  const hub = await openHub(bench, contactYaml([plainSpoke.name]), [plainSpoke.name]);
  try {
    return await during(bench, hub, `backfill of ${listed.toLocaleString('en')} records`, {
      yaml: contactYaml([plainSpoke.name]),
      spoke: { ...plainSpoke, listed },
      work: (engine) => engine.settled(),
    });
  } finally {
    await hub.drop();
  }
}

async function spokeDown(bench: Bench): Promise<readonly Figure[]> {
  const rows = bench.size(200_000, 500);
  const hub = await openStreamHub(bench, [plainSpoke.name]);
  try {
    await insertInto(hub, rows, Math.min(rows, 10_000));
    await linkRecords(hub, [plainSpoke.name]);
    return await during(bench, hub, `${rows.toLocaleString('en')} open deliveries, spoke down`, {
      yaml: recordYaml([plainSpoke.name]),
      spoke: { ...plainSpoke, down: true },
      async work() {
        await hub.sql('update hub.record set size = size + 1');
        const open = 'select count(*)::text as n from truespoke.delivery';
        await until(async () => (await hub.sql(open))[0]?.['n'] === String(rows), 'every delivery is open', 200);
        await pause(bench.quick ? 200 : 60_000);
      },
    });
  } finally {
    await hub.drop();
  }
}

interface Case {
  readonly yaml: string;
  readonly spoke: BenchSpoke;
  work(engine: LiveEngine): Promise<void>;
}

async function during(bench: Bench, hub: BenchHub, what: string, one: Case): Promise<readonly Figure[]> {
  const engine = await startEngine(hub, { yaml: one.yaml, spokes: [one.spoke] });
  try {
    await one.work(engine);
    const told = await engine.child.ask('memory', null);
    bench.say(`  ${what}: peak ${told.peakMb.toFixed(0)} MB, growth ${growth(told).toFixed(2)}`);
    const peak = { what: `${what}: peak`, unit: 'MB', goal: { bound: 'at most', value: limitMb } } as const;
    const flat = { what: `${what}: end / middle`, unit: '×', goal: { bound: 'at most', value: flatMax } } as const;
    return [alone(peak, series([told.peakMb])), alone(flat, series([growth(told)]))];
  } finally {
    await engine.end();
  }
}

/** More than the collector's ups and downs. */
const flatMax = 1.15;

/** The last quarter against the second: what is flat in between has no leak in it. */
function growth({ seriesMb }: Memory): number {
  const quarter = (i: number): number =>
    series(seriesMb.slice(Math.floor((seriesMb.length * i) / 4), Math.floor((seriesMb.length * (i + 1)) / 4))).median;
  return quarter(3) / quarter(1);
}
