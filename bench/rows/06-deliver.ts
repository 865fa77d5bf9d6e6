// Row 6: claim → diff → a spoke that does nothing → settle, in batches; against a bare queue table from which a batch is leased and
// then deleted, which knows nothing of records, bases, intents or fences. Beside it two queues of the house next door, whose tasks do
// nothing: each in the form that its own documentation names as the fastest.
import { systemClock } from '../../src/base/clock.js';
import { must } from '../../src/base/assert.js';
import { silentLog } from '../../src/base/log.js';
import { seeded } from '../../src/base/random.js';
import { defaultLimits } from '../../src/engine/engine.js';
import { entityName, spokeName } from '../../src/model/ids.js';
import type { OutboundDeps } from '../../src/outbound/batch.js';
import { deliver } from '../../src/outbound/pipeline.js';
import { openWorker } from '../../src/store/workers.js';
import { openPool } from '../../src/store/pool.js';
import { compare, interleave, ratePerSecond, type Figure, type Row, type Sample } from '../harness.js';
import { openHub, type BenchHub } from '../hub.js';
import { nullSpoke } from '../null-spoke.js';
import { graphileWorker, pgBoss } from '../queues.js';
import { contactColumns, contactYaml, spoke } from '../records.js';

const batch = 1_000;
/** Batches under way at once, as in the engine: while Postgres settles one, another is compared here. */
const lanes = 4;

export const deliverPath: Row = {
  number: 6,
  name: '06-deliver',
  title: 'delivery path: claim, diff, write to a null spoke, settle',
  async run(bench) {
    const records = bench.size(100_000, 1_000);
    const hub = await openHub(bench, contactYaml([spoke]), [spoke]);
    try {
      await hub.sql('create table bare_queue (id bigint primary key, payload text, lease_until timestamptz)');
      const [graphile, boss] = [await graphileWorker(hub), await pgBoss(hub)];
      const samples = await interleave(
        bench,
        {
          ours: () => deliverAll(hub),
          bare: () => drainBare(hub),
          graphile: () => graphile.drain(records),
          boss: () => boss.drain(records),
        },
        {
          async before(round) {
            await dirtyRecords(hub, records, round);
            await hub.sql('truncate bare_queue');
            await hub.sql(`insert into bare_queue select g, 'payload of ' || g from generate_series(1, ${records}) g`);
            await graphile.fill(records);
            await boss.fill(records);
            await hub.sql('vacuum analyze');
            await hub.sql('checkpoint');
          },
          after: () => check(hub, records),
        },
      );
      await boss.end();
      const what = `${records.toLocaleString('en')} updates, B = ${batch.toLocaleString('en')}`;
      const against = (name: string, least: number, reference: readonly Sample[]): Figure => {
        const goal = { bound: 'at least', value: least } as const;
        return compare({ what, unit: 'records/s', against: name, goal }, samples.ours, reference, ratePerSecond);
      };
      return [
        against('lease + delete on a bare table', 0.35, samples.bare),
        against('graphile-worker, empty tasks', 0.75, samples.graphile),
        against('pg-boss, empty handler', 1, samples.boss),
      ];
    } finally {
      await hub.drop();
    }
  },
};

/** Linked records of which one field was edited in the hub, each with a delivery that capture would have made. */
export async function dirtyRecords(hub: BenchHub, records: number, round: number): Promise<void> {
  await hub.sql('truncate hub.contact, truespoke.link, truespoke.delivery, truespoke.inbox');
  await hub.sql(`insert into hub.contact
      (email, first_name, last_name, phone, street, city, state, tier, size, rank, active, seen_at)
    select 'person' || g || '@example.test', 'First' || g, 'Last' || g, '+1555' || g, g || ' Long Street', 'City ' || g,
           'State ' || g % 50, 'pro', g, g, true, timestamptz '2026-01-01' + g * interval '1 second'
      from generate_series(1, ${records}) g`);
  const old = (column: string): string => (column === 'city' ? `'Old town ${round}'` : `t.${column}::text`);
  const image = `jsonb_build_object(${contactColumns.map((column) => `'${column}', ${old(column)}`).join(', ')})`;
  await hub.sql(`insert into truespoke.link
      (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
    select '${spoke}', 'contact', t.id::text, 'x' || t.rank, 'live', ${image}, ${image}, '2026-06-01T00:00:00.000Z', now(), now()
      from hub.contact t`);
  await hub.sql(`insert into truespoke.delivery (spoke, entity, hub_id, state, generation, lane, dirty_at, lsn)
    select '${spoke}', 'contact', t.id::text, 'pending', 1, 0, now(), '0/0' from hub.contact t`);
}

export async function deliverAll(hub: BenchHub): Promise<number> {
  const lockPool = openPool({
    url: hub.url,
    applicationName: 'truespoke worker',
    max: 2,
    idleInTransactionTimeoutMs: 0,
  });
  const session = await openWorker(lockPool);
  const deps: OutboundDeps = {
    pool: hub.pool,
    clock: systemClock,
    random: seeded(1),
    log: silentLog,
    mapping: hub.mapping,
    tables: hub.tables,
    inbound: () => Promise.reject(new Error('nothing comes in here')),
    worker: session.worker,
    limits: defaultLimits.outbound,
    crashpoint: () => undefined,
  };
  const open = { name: spokeName(spoke), spoke: nullSpoke({ writeBatch: batch }), defaults: new Map() };
  const ready = new Set([entityName('contact')]);
  const signal = new AbortController().signal;
  let delivered = 0;
  const loop = async (): Promise<void> => {
    for (;;) {
      const { claimed, writes } = await deliver(deps, open, ready, signal);
      if (claimed === 0) return;
      delivered += writes;
    }
  };
  await Promise.all(Array.from({ length: lanes }, loop));
  await session.close();
  await lockPool.end();
  return delivered;
}

async function drainBare(hub: BenchHub): Promise<number> {
  let done = 0;
  for (;;) {
    const { rows } = await hub.pool.query({
      name: 'bare_lease',
      text: `update bare_queue q set lease_until = now() + interval '1 minute'
              from (select id from bare_queue where lease_until is null order by id limit $1 for update skip locked) due
             where q.id = due.id returning q.id, q.payload`,
      values: [batch],
    });
    if (rows.length === 0) return done;
    const ids = rows.map((row: { id: string }) => row.id);
    await hub.pool.query({
      name: 'bare_done',
      text: 'delete from bare_queue where id = any($1::bigint[])',
      values: [ids],
    });
    done += ids.length;
  }
}

async function check(hub: BenchHub, records: number): Promise<void> {
  const [found] = await hub.sql(`select (select count(*) from truespoke.delivery)::text as open,
    (select count(*) from truespoke.link l join hub.contact t on t.id::text = l.hub_id where l.base_hub ->> 'city' = t.city)::text as settled`);
  must(found, 'counts');
  if (found?.['open'] !== '0' || found['settled'] !== String(records))
    throw new Error(`delivered ${JSON.stringify(found)}`);
}
