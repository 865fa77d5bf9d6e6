// Row 12: what applications of the hub pay. The same updates, saturated and at half of what the hub can take, with nothing attached, with
// a bare reader attached, and with the whole engine delivering every edit to a spoke of 50 ms and 5 lanes. The application is a process
// of its own. Meanwhile: how much WAL the slot holds back, which also tells whether capture keeps up.
import type { ApplicationDoor, LoadTold } from '../children/application.js';
import type { Child } from '../children/child.js';
import type { ReaderDoor } from '../children/reader.js';
import { alone, series, type Bench, type Figure, type Row } from '../harness.js';
import type { BenchHub } from '../hub.js';
import { freeSlots, pause, plainSpoke, startEngine, until, withChild } from '../live.js';
import { insertInto, linkRecords, makeSlots, openStreamHub, publication, recordIds, recordYaml } from '../stream.js';

const slot = 'bench_bare';
const spoke = { ...plainSpoke, answerAfterMs: 50 };
const connections = 4;
const retainedMaxMb = 64;

interface Load {
  readonly saturated: number;
  /** At half the rate of the saturated hub that has nothing attached. */
  readonly half: number;
  /** WAL held back by the slot, at most, in each of the two. */
  readonly retainedMb: readonly [number, number];
}

export const applications: Row = {
  number: 12,
  name: '12-applications',
  title: 'what applications pay: their commits with the engine running, with a bare reader, with nothing',
  async run(bench) {
    const hub = await openStreamHub(bench, [spoke.name]);
    try {
      await insertInto(hub, bench.size(20_000, 1_000), 1_000);
      await linkRecords(hub, [spoke.name]);
      return await withChild<ApplicationDoor, readonly Figure[]>('application', async (application) => {
        const meter = new Meter(bench, hub, application, await recordIds(hub));
        await meter.calibrate();
        const rounds: Record<Side, Load>[] = [];
        for (let round = 0; round < bench.rounds; round += 1) rounds.push(await meter.round(round));
        return figures(rounds);
      });
    } finally {
      await hub.drop();
    }
  },
};

type Side = 'alone' | 'bare' | 'ours';
const sides: readonly Side[] = ['alone', 'bare', 'ours'];

class Meter {
  private first = 1_000_000;
  private halfPerSecond = 0;
  private readonly seconds: number;

  constructor(
    private readonly bench: Bench,
    private readonly hub: BenchHub,
    private readonly application: Child<ApplicationDoor>,
    private readonly ids: readonly string[],
  ) {
    // Six loads a round and one before: three rounds in five minutes.
    this.seconds = bench.quick ? 0.4 : bench.size(10, 1);
  }

  /** Warms everything up and finds the rate of which half is offered. */
  async calibrate(): Promise<void> {
    await this.load(null, Math.min(this.seconds, 1));
    const { commits, seconds } = await this.load(null, this.seconds);
    this.halfPerSecond = commits / seconds / 2;
    this.bench.say(`  saturated at ${(commits / seconds).toFixed(0)} tx/s with nothing attached`);
  }

  async round(round: number): Promise<Record<Side, Load>> {
    const loads: Partial<Record<Side, Load>> = {};
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      await this.hub.sql('vacuum analyze');
      const load = await this.attached(side);
      loads[side] = load;
      const held = load.retainedMb.map((mb) => mb.toFixed(1)).join(' and ');
      this.bench.say(
        `  round ${round + 1} ${side}: saturated ${load.saturated.toFixed(0)} tx/s, half ${load.half.toFixed(0)} tx/s, WAL held ${held} MB`,
      );
    }
    return loads as Record<Side, Load>;
  }

  private attached(side: Side): Promise<Load> {
    if (side === 'alone') return this.both();
    return side === 'bare' ? this.withReader() : this.withEngine();
  }

  private async withReader(): Promise<Load> {
    const { hub } = this;
    await makeSlots(hub, [slot]);
    const load = await withChild<ReaderDoor, Load>('reader', async (reader) => {
      await reader.ask('read', { url: hub.url, slot, publication, column: 'rank' });
      const active = `select 1 from pg_replication_slots where slot_name = '${slot}' and active`;
      await until(async () => (await hub.sql(active)).length > 0, 'the bare reader reads');
      return this.both();
    });
    await freeSlots(hub);
    return load;
  }

  private async withEngine(): Promise<Load> {
    const engine = await startEngine(this.hub, { yaml: recordYaml([spoke.name]), spokes: [spoke] });
    try {
      await engine.settled();
      await this.hub.sql('vacuum analyze');
      const load = await this.both();
      await engine.settled();
      return load;
    } finally {
      await engine.end();
    }
  }

  private async both(): Promise<Load> {
    const saturated = await this.watched(null);
    await pause(this.bench.quick ? 200 : 2_000);
    const half = await this.watched(this.halfPerSecond);
    return {
      saturated: saturated.told.commits / saturated.told.seconds,
      half: half.told.commits / half.told.seconds,
      retainedMb: [saturated.retainedMb, half.retainedMb],
    };
  }

  private async watched(perSecond: number | null): Promise<{ readonly told: LoadTold; readonly retainedMb: number }> {
    const ended = new AbortController();
    const retained = watchRetained(this.hub, ended.signal);
    const told = await this.load(perSecond, this.seconds);
    ended.abort();
    return { told, retainedMb: await retained };
  }

  private async load(perSecond: number | null, seconds: number): Promise<LoadTold> {
    const told = await this.application.ask('load', {
      url: this.hub.url,
      connections,
      perSecond,
      seconds,
      first: this.first,
      statement: 'update hub.record set rank = $1 where id = $2',
      ids: this.ids,
    });
    this.first += told.acknowledgedMs.length;
    return told;
  }
}

/** What the engine's slot has not been told is durable, at its most; 0 without one. */
async function watchRetained(hub: BenchHub, signal: AbortSignal): Promise<number> {
  let most = 0;
  while (!signal.aborted) {
    const [row] = await hub.sql(
      `select max(pg_current_wal_insert_lsn() - confirmed_flush_lsn)::text as bytes from pg_replication_slots where slot_name <> $1`,
      [slot],
    );
    most = Math.max(most, Number(row?.['bytes'] ?? 0));
    await pause(100);
  }
  return most / 2 ** 20;
}

function figures(rounds: readonly Record<Side, Load>[]): readonly Figure[] {
  const compared = (which: 'half' | 'saturated', against: Side, name: string, goal: number): Figure => {
    const [ours, theirs] = [rounds.map(({ ours }) => ours[which]), rounds.map((round) => round[against][which])];
    return {
      what: which === 'half' ? 'half of saturated' : 'saturated',
      unit: 'tx/s',
      ours: series(ours),
      reference: { name, series: series(theirs) },
      ratio: series(ours.map((value, i) => value / (theirs[i] ?? Number.NaN))),
      goal: { bound: 'at least', value: goal },
    };
  };
  const retained = (at: 0 | 1, what: string): Figure =>
    alone(
      { what: `WAL held back, ${what}`, unit: 'MB', goal: { bound: 'at most', value: retainedMaxMb } },
      series(rounds.map(({ ours }) => ours.retainedMb[at])),
    );
  return [
    compared('half', 'alone', 'nothing attached', 0.97),
    compared('saturated', 'bare', 'bare reader attached', 0.75),
    retained(1, 'half of saturated'),
    retained(0, 'saturated'),
  ];
}
