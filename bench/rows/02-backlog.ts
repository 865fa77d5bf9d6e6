// Row 2: the backlog of an hour in which nobody read: a million changes of a hundred thousand records, made before the reader starts,
// until every changed record has a durable delivery row; against a reader that throws the same WAL away.
import { compare, interleave, ratePerSecond, type Bench, type Figure, type Row } from '../harness.js';
import { discardRows } from '../bare-reader.js';
import { captureRows, dropSlots, insertInto, makeSlots, openStreamHub, publication, updateIn } from '../stream.js';
import type { BenchHub } from '../hub.js';

const slots = ['bench_ours', 'bench_bare'] as const;
const editsEach = 10;

export const backlog: Row = {
  number: 2,
  name: '02-backlog',
  title: 'backlog after downtime: ten changes of each record to durable delivery rows',
  async run(bench) {
    const hub = await openStreamHub(bench);
    try {
      const records = bench.size(100_000, 400);
      await insertInto(hub, records, 10_000);
      return [
        await measure(bench, hub, { records, rowsPerTransaction: 1, goal: 1 }),
        await measure(bench, hub, { records, rowsPerTransaction: 1_000, goal: 0.6 }),
      ];
    } finally {
      await hub.drop();
    }
  },
};

async function measure(
  bench: Bench,
  hub: BenchHub,
  load: { readonly records: number; readonly rowsPerTransaction: number; readonly goal: number },
): Promise<Figure> {
  const { records, rowsPerTransaction, goal } = load;
  const [ours, bare] = slots;
  const changes = records * editsEach;
  const samples = await interleave(
    bench,
    { ours: () => captureRows(hub, ours, changes), bare: () => discardRows(hub.url, bare, publication, changes) },
    {
      async before() {
        await hub.sql('truncate truespoke.delivery, truespoke.journal, truespoke.position');
        await hub.sql('vacuum full hub.record');
        await hub.sql('checkpoint');
        await makeSlots(hub, slots);
        for (let edit = 0; edit < editsEach; edit += 1) await updateIn(hub, records, rowsPerTransaction);
      },
      async after() {
        await check(hub, records, changes);
        await dropSlots(hub, slots);
      },
    },
  );
  return compare(
    {
      what: `${changes.toLocaleString('en')} changes of ${records.toLocaleString('en')} records, ${rowsPerTransaction.toLocaleString('en')}-row transactions`,
      unit: 'rows/s',
      against: 'reader that discards',
      goal: { bound: 'at least', value: goal },
    },
    samples.ours,
    samples.bare,
    ratePerSecond,
  );
}

async function check(hub: BenchHub, records: number, changes: number): Promise<void> {
  const [found] = await hub.sql(
    `select (select count(*) from truespoke.journal)::text as journal, (select count(*) from truespoke.delivery)::text as deliveries`,
  );
  if (found?.['journal'] === String(changes) && found['deliveries'] === String(records)) return;
  throw new Error(`captured ${JSON.stringify(found)} of ${changes} changes of ${records} records`);
}
