// Row 9: how many calls changed records cost at a remote that takes 200 a call, 5 calls at once, and answers after 50 ms; and how busy
// its lanes are kept while there is work. The fewest calls are counted, not measured: records / batch. A look before an unconditional
// write is a call too, counted by itself: it is what keeps the lost-update window at one request. The lanes are also filled with fewer
// records a call: at 200 the machine itself, not the waiting of the lanes, is what binds.
import type { Child } from '../children/child.js';
import type { RemoteDoor, RemoteTold } from '../children/remote.js';
import { alone, series, type Figure, type Row } from '../harness.js';
import type { BenchHub } from '../hub.js';
import { pause, plainSpoke, startEngine, withChild, type LiveEngine } from '../live.js';
import { insertInto, linkRecords, openStreamHub, recordYaml } from '../stream.js';

const answerAfterMs = 50;
const editsEach = 10;
const batch = plainSpoke.writeBatch;
/** Records a call, and of how many records. */
const smaller = [
  { writeBatch: 50, records: 25_000 },
  { writeBatch: 20, records: 10_000 },
] as const;

interface Run {
  readonly told: RemoteTold;
  readonly records: number;
}

export const economy: Row = {
  number: 9,
  name: '09-economy',
  title: 'API economy: calls, use of the lanes, refusals; 200 records a call, 5 lanes, 50 ms',
  async run(bench) {
    const hub = await openStreamHub(bench);
    try {
      const records = bench.size(10_000, 1_000);
      const many = bench.size(100_000, 2_000);
      await insertInto(hub, many, 1_000);
      await linkRecords(hub, [plainSpoke.name]);
      return await withChild<RemoteDoor, readonly Figure[]>('remote', async (remote) => {
        const url = await remote.ask('listen', { answerAfterMs, lanesMax: plainSpoke.lanes, noted: 'F' });
        const using = async <T>(writeBatch: number, body: (meter: Meter) => Promise<T>): Promise<T> => {
          const spokes = [{ ...plainSpoke, writeBatch, remote: url }];
          const engine = await startEngine(hub, { yaml: recordYaml([plainSpoke.name]), spokes });
          try {
            await engine.settled();
            await hub.sql('vacuum analyze');
            return await body(new Meter(hub, engine, remote));
          } finally {
            await engine.end();
          }
        };
        const [once, bursts, full]: [Run[], Run[], Run[]] = [[], [], []];
        await using(batch, async (meter) => {
          for (let round = 0; round < bench.rounds; round += 1) {
            once.push(await meter.edit(records, 1));
            bursts.push(await meter.edit(records, editsEach));
            full.push(await meter.edit(many, 1));
            bench.say(`  round ${round + 1}: ${[once, bursts, full].map((runs) => tell(runs.at(-1))).join('; ')}`);
          }
        });
        const fewer: (readonly [number, readonly Run[]])[] = [];
        for (const { writeBatch, records: least } of smaller) {
          const runs = await using(writeBatch, async (meter) => {
            const made: Run[] = [];
            for (let round = 0; round < bench.rounds; round += 1) {
              made.push(await meter.edit(bench.size(least, writeBatch * 10), 1));
              bench.say(`  round ${round + 1}, ${writeBatch} a call: ${tell(made.at(-1))}`);
            }
            return made;
          });
          fewer.push([writeBatch, runs]);
        }
        return figures({ once, bursts, full, fewer });
      });
    } finally {
      await hub.drop();
    }
  },
};

class Meter {
  constructor(
    private readonly hub: BenchHub,
    private readonly engine: LiveEngine,
    private readonly remote: Child<RemoteDoor>,
  ) {}

  /** Every record is edited `times` within a second. */
  async edit(records: number, times: number): Promise<Run> {
    await this.remote.ask('told', null);
    const from = performance.now();
    for (let edit = 0; edit < times; edit += 1) {
      await this.hub.sql(`update hub.record set size = size + 1 where rank <= $1`, [String(records)]);
      const nextMs = from + ((edit + 1) * 1_000) / times - performance.now();
      if (edit < times - 1 && nextMs > 0) await pause(nextMs);
    }
    await this.engine.settled();
    return { told: await this.remote.ask('told', null), records };
  }
}

function tell(run: Run | undefined): string {
  if (run === undefined) return '';
  const { told, records } = run;
  return `${records} records: ${told.calls} calls, ${told.looks} looks, ${told.atOnce} at once, ${told.refused} refused, ${used(run).toFixed(2)} of the lanes`;
}

/** Share of the calls that the lanes could have carried from the first request to the last answer. */
function used({ told }: Run): number {
  return ((told.calls + told.looks) * answerAfterMs) / (plainSpoke.lanes * (told.lastAtMs - told.firstAtMs));
}

interface Runs {
  readonly once: readonly Run[];
  readonly bursts: readonly Run[];
  readonly full: readonly Run[];
  readonly fewer: readonly (readonly [number, readonly Run[]])[];
}

function figures({ once, bursts, full, fewer }: Runs): readonly Figure[] {
  const calls = (what: string, runs: readonly Run[], limit: number): Figure => {
    const fewest = runs.map(({ records }) => Math.ceil(records / batch));
    const made = runs.map(({ told }) => told.calls);
    return {
      what,
      unit: 'calls',
      ours: series(made),
      reference: { name: 'fewest possible', series: series(fewest) },
      ratio: series(made.map((value, i) => value / (fewest[i] ?? Number.NaN))),
      goal: { bound: 'at most', value: limit },
    };
  };
  const lanes = [[batch, full] as const, ...fewer];
  const refused = [...once, ...bursts, ...full, ...fewer.flatMap(([, runs]) => runs)].map(({ told }) => told.refused);
  return [
    calls('every record edited once', once, 1.05),
    calls(`every record edited ${editsEach} times within a second`, bursts, 1.1),
    alone(
      {
        what: 'looks a write call',
        unit: '×',
        goal: null,
        note: 'a batch beyond the limit of conditional writes is looked at first, in one read',
      },
      series(full.map(({ told }) => told.looks / told.calls)),
    ),
    ...lanes.map(([size, runs]) =>
      alone(
        { what: `use of the lanes, ${size} a call`, unit: '×', goal: { bound: 'at least', value: 0.95 } },
        series(runs.map(used)),
      ),
    ),
    alone({ what: 'calls refused by the remote', unit: '', goal: { bound: 'at most', value: 0 } }, series(refused)),
  ];
}
