// Row 8: from sending a webhook to its record's commit in the hub: signature, inbox, 2xx, hint, fetch by id (answered in the process),
// merge, apply; against a bare INSERT by the same HTTP server in the same process. The end of both is the same: the moment at which a
// bare reader sees the committed row. The record fetched is what the webhook told of, as no remote stands behind.
import { createHmac } from 'node:crypto';
import { Agent } from 'undici';
import type { Child } from '../children/child.js';
import { sharedMs } from '../children/child.js';
import { webhookSecret } from '../children/engine-setup.js';
import type { ReaderDoor } from '../children/reader.js';
import { quantile, series, type Figure, type Row } from '../harness.js';
import { freeSlots, pause, plainSpoke, startEngine, until, withChild } from '../live.js';
import { insertInto, linkRecords, makeSlots, openStreamHub, publication, recordYaml } from '../stream.js';

const slot = 'bench_bare';

export const webhookLatency: Row = {
  number: 8,
  name: '08-webhook',
  title: 'latency: webhook sent to its record committed in the hub',
  async run(bench) {
    const hub = await openStreamHub(bench);
    const records = bench.size(2_000, 200);
    const each = bench.size(1_000, 20);
    try {
      await hub.sql('create table hub.bare_hook (id bigint generated always as identity primary key, rank bigint)');
      await insertInto(hub, records, 1_000);
      await linkRecords(hub, [plainSpoke.name]);
      const engine = await startEngine(hub, {
        yaml: recordYaml([plainSpoke.name]),
        spokes: [plainSpoke],
        bareStatement: 'insert into hub.bare_hook (rank) values ($1)',
      });
      try {
        await engine.settled();
        await makeSlots(hub, [slot]);
        const rounds = await withChild<ReaderDoor, readonly Round[]>('reader', async (reader) => {
          await reader.ask('read', { url: hub.url, slot, publication, column: 'rank' });
          const active = `select 1 from pg_replication_slots where slot_name = '${slot}' and active`;
          await until(async () => (await hub.sql(active)).length > 0, 'the bare reader reads');
          const meter = new Meter(engine.webhooks, reader, records);
          await meter.send('left', Math.min(each, 100));
          await meter.send('bare', Math.min(each, 100));
          const all: Round[] = [];
          for (let round = 0; round < bench.rounds; round += 1) {
            const told = new Map<Side, readonly number[]>();
            const order: readonly Side[] = round % 2 === 0 ? ['left', 'bare'] : ['bare', 'left'];
            for (const side of order) told.set(side, await meter.send(side, each));
            const [ours = [], bare = []] = [told.get('left'), told.get('bare')];
            all.push({ ours, bare });
            bench.say(
              `  round ${round + 1}: p99 ${quantile(ours, 0.99).toFixed(2)} ms, bare ${quantile(bare, 0.99).toFixed(2)} ms`,
            );
          }
          return all;
        });
        return [figure(rounds, 'p50', 0.5), figure(rounds, 'p99', 0.99)];
      } finally {
        await engine.end();
        await freeSlots(hub);
      }
    } finally {
      await hub.drop();
    }
  },
};

type Side = 'left' | 'bare';

interface Round {
  readonly ours: readonly number[];
  readonly bare: readonly number[];
}

/** Webhooks do not wait for each other, yet leave the machine time to breathe: what is measured is no queue. */
const apartMs = 10;

class Meter {
  private readonly agent = new Agent({ connections: 8, pipelining: 1 });
  private number = 1_000_000;

  constructor(
    private readonly url: string,
    private readonly reader: Child<ReaderDoor>,
    private readonly records: number,
  ) {}

  /** Times from sending to the commit's being seen, in ms. */
  async send(side: Side, count: number): Promise<readonly number[]> {
    const sentMs = new Map<number, number>();
    const answers: Promise<void>[] = [];
    for (let i = 0; i < count; i += 1) {
      this.number += 1;
      sentMs.set(this.number, sharedMs());
      answers.push(this.post(side, this.number));
      await pause(apartMs);
    }
    await Promise.all(answers);
    const took: number[] = [];
    await until(async () => {
      const seen = await this.reader.ask('told', null);
      for (let i = 0; i < seen.length; i += 2) {
        const at = sentMs.get(seen[i] ?? 0);
        if (at === undefined) continue;
        sentMs.delete(seen[i] ?? 0);
        took.push((seen[i + 1] ?? 0) - at);
      }
      return sentMs.size === 0;
    }, 'every webhook is committed');
    return took;
  }

  private async post(side: Side, number: number): Promise<void> {
    const body = JSON.stringify({ id: `x${(number % this.records) + 1}`, number });
    const signature = createHmac('sha256', webhookSecret).update(body).digest('hex');
    const { statusCode, body: rest } = await this.agent.request({
      origin: new URL(this.url).origin,
      path: `${new URL(this.url).pathname}/${side}`,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-signature': signature },
      body,
    });
    await rest.dump();
    if (statusCode !== 200) throw new Error(`a webhook was answered ${statusCode}`);
  }
}

function figure(rounds: readonly Round[], name: string, share: number): Figure {
  const ours = rounds.map((round) => quantile(round.ours, share));
  const bare = rounds.map((round) => quantile(round.bare, share));
  return {
    what: name,
    unit: 'ms',
    ours: series(ours),
    reference: { name: 'bare INSERT over HTTP', series: series(bare) },
    ratio: series(ours.map((value, i) => value / (bare[i] ?? Number.NaN))),
    goal: name === 'p99' ? { bound: 'at most', value: 5 } : null,
  };
}
