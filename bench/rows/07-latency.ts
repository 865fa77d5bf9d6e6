// Row 7: from the moment at which the application's COMMIT is acknowledged to the arrival of the edit at a remote on a loopback port,
// through the whole engine; against the moment at which a bare reader in a process of its own has the same change. The application,
// the engine (or the reader) and the remote are three processes. Each commit edits one record of many, so that nothing coalesces.
import { openStreamHub, insertInto, linkRecords, makeSlots, publication, recordIds, recordYaml } from '../stream.js';
import type { ApplicationDoor } from '../children/application.js';
import type { Child } from '../children/child.js';
import type { ReaderDoor } from '../children/reader.js';
import type { RemoteDoor } from '../children/remote.js';
import { alone, quantile, series, type Bench, type Figure, type Row } from '../harness.js';
import type { BenchHub } from '../hub.js';
import { freeSlots, pause, plainSpoke, startEngine, until, withChild } from '../live.js';

/** What one side showed at one rate. */
interface Times {
  readonly p50: number;
  readonly p99: number;
}

interface Load {
  readonly what: string;
  readonly perSecond: number;
}

const loads: readonly Load[] = [
  { what: 'idle', perSecond: 20 },
  { what: '200 tx/s', perSecond: 200 },
  { what: '1,000 tx/s', perSecond: 1_000 },
];
const slow: Load = { what: '200 tx/s', perSecond: 200 };
const slowMs = 50;
const slot = 'bench_bare';

export const latency: Row = {
  number: 7,
  name: '07-latency',
  title: 'latency: COMMIT in the hub to the request at a remote on loopback',
  async run(bench) {
    const hub = await openStreamHub(bench);
    try {
      await insertInto(hub, bench.size(20_000, 1_000), 1_000);
      await linkRecords(hub, [plainSpoke.name]);
      return await withChild<ApplicationDoor, readonly Figure[]>('application', async (application) => {
        const meter = new Meter(bench, hub, application, await recordIds(hub));
        const fast: (readonly Times[])[] = [];
        const bare: (readonly Times[])[] = [];
        const waits: Times[] = [];
        for (let round = 0; round < bench.rounds; round += 1) {
          const both = [
            async () => void fast.push(await meter.ours(0, loads)),
            async () => void bare.push(await meter.bare()),
          ];
          for (const side of round % 2 === 0 ? both : both.toReversed()) await side();
          waits.push(...(await meter.ours(slowMs, [slow])));
        }
        return figures(fast, bare, waits);
      });
    } finally {
      await hub.drop();
    }
  },
};

class Meter {
  private first = 1_000_000;
  private readonly seconds: number;

  constructor(
    private readonly bench: Bench,
    private readonly hub: BenchHub,
    private readonly application: Child<ApplicationDoor>,
    private readonly ids: readonly string[],
  ) {
    this.seconds = bench.quick ? 0.5 : 15;
  }

  async ours(answerAfterMs: number, at: readonly Load[]): Promise<readonly Times[]> {
    return withChild<RemoteDoor, readonly Times[]>('remote', async (remote) => {
      const url = await remote.ask('listen', { answerAfterMs, lanesMax: plainSpoke.lanes, noted: 'F' });
      const spoke = { ...plainSpoke, remote: url };
      const engine = await startEngine(this.hub, { yaml: recordYaml([spoke.name]), spokes: [spoke] });
      try {
        await engine.settled();
        // The first start compared every record: what that left behind is autovacuum's in production.
        await this.hub.sql('vacuum analyze');
        const name = answerAfterMs === 0 ? 'ours' : `ours, ${answerAfterMs} ms remote`;
        return await this.each(
          name,
          at,
          async () => (await remote.ask('told', null)).seen,
          () => engine.settled(),
        );
      } finally {
        await engine.end();
      }
    });
  }

  async bare(): Promise<readonly Times[]> {
    await makeSlots(this.hub, [slot]);
    const times = await withChild<ReaderDoor, readonly Times[]>('reader', async (reader) => {
      await reader.ask('read', { url: this.hub.url, slot, publication, column: 'rank' });
      const active = `select 1 from pg_replication_slots where slot_name = '${slot}' and active`;
      await until(async () => (await this.hub.sql(active)).length > 0, 'the bare reader reads');
      return this.each(
        'bare',
        loads,
        () => reader.ask('told', null),
        () => pause(200),
      );
    });
    await freeSlots(this.hub);
    return times;
  }

  private async each(
    name: string,
    at: readonly Load[],
    told: () => Promise<Float64Array>,
    quiet: () => Promise<void>,
  ): Promise<readonly Times[]> {
    const times: Times[] = [];
    // Plans, pools and compiled code are there once the first edits went through.
    for (const load of [{ what: 'warm', perSecond: 200 }, ...at]) {
      const { first, hub, ids } = this;
      const seconds = load.what === 'warm' ? Math.min(this.seconds, 1) : this.seconds;
      const done = await this.application.ask('load', {
        url: hub.url,
        connections: 4,
        perSecond: load.perSecond,
        seconds,
        first,
        statement: 'update hub.record set rank = $1 where id = $2',
        ids,
      });
      this.first += done.acknowledgedMs.length;
      await quiet();
      const found = timesOf(first, done.acknowledgedMs, await told(), ids.length);
      if (load.what === 'warm') continue;
      times.push(found);
      this.bench.say(`  ${name}, ${load.what}: p50 ${found.p50.toFixed(2)} ms, p99 ${found.p99.toFixed(2)} ms`);
    }
    return times;
  }
}

/** A commit that was overtaken by the next edit of its record arrived with that one. */
function timesOf(first: number, acknowledgedMs: Float64Array, seen: Float64Array, records: number): Times {
  const arrived = new Map<number, number>();
  for (let i = 0; i < seen.length; i += 2) {
    const number = seen[i] ?? 0;
    if (!arrived.has(number)) arrived.set(number, seen[i + 1] ?? 0);
  }
  const took: number[] = [];
  const missing: number[] = [];
  for (const [i, atMs] of acknowledgedMs.entries()) {
    if (Number.isNaN(atMs)) continue;
    let at: number | undefined;
    for (let number = first + i; at === undefined && number < first + acknowledgedMs.length; number += records)
      at = arrived.get(number);
    if (at === undefined) missing.push(first + i);
    else took.push(at - atMs);
  }
  if (missing.length > 0 || took.length === 0)
    throw new Error(
      `of ${acknowledgedMs.length} edits ${missing.length} did not arrive: ${missing.slice(0, 10).join(', ')}`,
    );
  return { p50: quantile(took, 0.5), p99: quantile(took, 0.99) };
}

function figures(
  fast: readonly (readonly Times[])[],
  bare: readonly (readonly Times[])[],
  waits: readonly Times[],
): readonly Figure[] {
  const pick = (rounds: readonly (readonly Times[])[], load: number, which: keyof Times): number[] =>
    rounds.map((times) => times[load]?.[which] ?? Number.NaN);
  const compared = loads.flatMap(({ what }, load): Figure[] =>
    (['p50', 'p99'] as const).map((which) => {
      const [mine, theirs] = [pick(fast, load, which), pick(bare, load, which)];
      return {
        what: `${what}: ${which}`,
        unit: 'ms',
        ours: series(mine),
        reference: { name: 'bare reader', series: series(theirs) },
        ratio: series(mine.map((value, i) => value / Math.max(theirs[i] ?? Number.NaN, visibleMs))),
        goal: { bound: 'at most', value: which === 'p50' ? 8 : 10 },
      };
    }),
  );
  const p99 = series(waits.map((times) => times.p99));
  const goal = { bound: 'at most', value: slowMs + 15 } as const;
  return [
    ...compared,
    alone({ what: `${slow.what}, a remote that answers after ${slowMs} ms: p99`, unit: 'ms', goal }, p99),
  ];
}

/** A reader may have a change before the application is told of its commit: no ratio is formed with less than this. */
const visibleMs = 0.05;
