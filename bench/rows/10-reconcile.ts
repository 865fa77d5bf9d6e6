// Row 10: the local comparison of hub rows with what each spoke last agreed on; against md5 aggregated by bucket over the same two
// sides, in the form of data-diff. The aggregate only tells which buckets differ; ours names the records.
import { must } from '../../src/base/assert.js';
import { spokeName } from '../../src/model/ids.js';
import { compareHub } from '../../src/store/hub-compare.js';
import {
  allCpuMicros,
  alone,
  compare,
  interleave,
  ratePerSecond,
  series,
  timed,
  type Bench,
  type Figure,
  type Row,
} from '../harness.js';
import { openHub, type BenchHub } from '../hub.js';
import { contactColumns, contactYaml } from '../records.js';

const spokes = ['left', 'middle', 'right'];

export const reconcileLocal: Row = {
  number: 10,
  name: '10-reconcile',
  title: 'reconcile hub ↔ base, three spokes',
  usualScale: 0.3,
  async run(bench) {
    const records = bench.size(1_000_000, 3_000);
    const hub = await openHub(bench, contactYaml(spokes), spokes);
    try {
      await fillReconcile(hub, records, spokes);
      // The first pass over links without hashes compares column by column and keeps the hash of each row: told, not compared.
      const first = await timed(bench, async () => (await sweepOne(hub, 'left', 0), records));
      bench.say(`  first pass of a spoke: ${allCpuMicros(first).toFixed(1)} µs of CPU a record`);
      for (const spoke of spokes) await sweepOne(hub, spoke, 0);
      await hub.sql('vacuum analyze');
      const sweepAll = async (): Promise<number> => {
        for (const spoke of spokes) await sweepOne(hub, spoke, 0);
        return records * spokes.length;
      };
      const samples = await interleave(bench, {
        ours: sweepAll,
        bare: async () => {
          for (const spoke of spokes) await bucketsDiffering(hub, spoke, 0);
          return records * spokes.length;
        },
      });
      const clean = compare(
        {
          what: `${records.toLocaleString('en')} records × ${spokes.length} spokes`,
          unit: 'records/s',
          against: 'md5 by bucket',
          goal: { bound: 'at least', value: 3 },
        },
        samples.ours,
        samples.bare,
        ratePerSecond,
      );
      return [clean, ...(await drifted(bench, hub, records))];
    } finally {
      await hub.drop();
    }
  },
};

/** A pass that finds 100 drifted records, against a clean pass right before it. */
async function drifted(bench: Bench, hub: BenchHub, records: number): Promise<readonly Figure[]> {
  const changed = Math.min(100, Math.floor(records / 10));
  const ratios: number[] = [];
  for (let round = 0; round < bench.rounds; round += 1) {
    await hub.sql('truncate truespoke.delivery');
    const clean = await timed(bench, async () => (await sweepOne(hub, 'left', round * changed), records));
    await hub.sql(
      `update hub.contact set city = 'Elsewhere ' || $1 where rank in (select g from generate_series($2::int, $3::int) g)`,
      [String(round), round * changed + 1, (round + 1) * changed],
    );
    const found = await timed(bench, async () => (await sweepOne(hub, 'left', (round + 1) * changed), records));
    ratios.push(found.seconds / clean.seconds);
  }
  const goal = { bound: 'at most', value: 1.5 } as const;
  return [alone({ what: 'a pass that finds 100 more, of a clean pass', unit: '×', goal }, series(ratios))];
}

export async function sweepOne(hub: BenchHub, spoke: string, differing: number): Promise<void> {
  const mapping = must(hub.entity('contact').spokes.get(spokeName(spoke)), spoke);
  const found = await compareHub(hub.pool, hub.table('contact'), mapping, { rows: 10_000, after: null });
  if (found.length !== differing) throw new Error(`found ${found.length} differences, there are ${differing}`);
}

async function bucketsDiffering(hub: BenchHub, spoke: string, differing: number): Promise<void> {
  const [row] = await hub.sql(
    `select count(*)::text as n from (${buckets(
      `t.id::text`,
      contactColumns.map((column) => `t.${column}::text`),
      'hub.contact t',
    )}) a
       full join (${buckets(
         'l.hub_id',
         contactColumns.map((column) => `l.base_hub ->> '${column}'`),
         `truespoke.link l where l.spoke = '${spoke}' and l.entity = 'contact' and l.state = 'live'`,
       )}) b using (bucket)
      where a.sum is distinct from b.sum or a.rows is distinct from b.rows`,
  );
  if (row?.['n'] !== String(differing)) throw new Error(`${row?.['n']} buckets differ, should be ${differing}`);
}

function buckets(id: string, values: readonly string[], from: string): string {
  const text = [id, ...values].map((value) => `coalesce(${value}, '')`).join(` || '|' || `);
  return `select hashtext(${id}) & 1023 as bucket, count(*) as rows, sum(('x' || substr(md5(${text}), 18))::bit(60)::bigint) as sum
            from ${from} group by 1`;
}

export async function fillReconcile(hub: BenchHub, records: number, spokes: readonly string[]): Promise<void> {
  await hub.sql(`insert into hub.contact
      (email, first_name, last_name, phone, street, city, state, tier, size, rank, active, seen_at)
    select 'person' || g || '@example.test', 'First' || g % 5000, 'Last' || g % 9000, '+1555' || g, g % 900 || ' Long Street',
           'City ' || g % 1000, 'State ' || g % 50, 'pro', g, g, true, timestamptz '2026-01-01' + g * interval '1 second'
      from generate_series(1, ${records}) g`);
  const image = `jsonb_build_object(${contactColumns.map((column) => `'${column}', t.${column}::text`).join(', ')})`;
  for (const spoke of spokes) {
    await hub.sql(`insert into truespoke.link
        (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
      select '${spoke}', 'contact', t.id::text, '${spoke}' || t.rank, 'live', ${image}, ${image}, '2026-06-01T00:00:00.000Z', now(), now()
        from hub.contact t`);
  }
  await hub.sql('vacuum analyze');
}
