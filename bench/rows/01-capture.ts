// Row 1: rows a second from WAL to journal and delivery rows, durable and acknowledged, against a reader that throws the same WAL away.
// Inserts of new records: each makes a journal row and a delivery row of its own, nothing coalesces.
import { compare, interleave, ratePerSecond, type Bench, type Figure, type Row } from '../harness.js';
import { discardRows } from '../bare-reader.js';
import {
  captureRows,
  dropSlots,
  emptyStreamHub,
  insertInto,
  makeSlots,
  openStreamHub,
  publication,
} from '../stream.js';
import type { BenchHub } from '../hub.js';

const slots = ['bench_ours', 'bench_bare'] as const;

export const captureLive: Row = {
  number: 1,
  name: '01-capture',
  title: 'live capture: WAL to journal and delivery rows, durable and acknowledged',
  async run(bench) {
    const hub = await openStreamHub(bench);
    try {
      return [
        await measure(bench, hub, { rows: bench.size(100_000, 1_000), rowsPerTransaction: 1, goal: 0.6 }),
        await measure(bench, hub, { rows: bench.size(200_000, 3_000), rowsPerTransaction: 1_000, goal: 0.4 }),
      ];
    } finally {
      await hub.drop();
    }
  },
};

async function measure(
  bench: Bench,
  hub: BenchHub,
  load: { readonly rows: number; readonly rowsPerTransaction: number; readonly goal: number },
): Promise<Figure> {
  const { rows, rowsPerTransaction, goal } = load;
  const [ours, bare] = slots;
  const samples = await interleave(
    bench,
    { ours: () => captureRows(hub, ours, rows), bare: () => discardRows(hub.url, bare, publication, rows) },
    {
      async before() {
        await emptyStreamHub(hub);
        await makeSlots(hub, slots);
        await insertInto(hub, rows, rowsPerTransaction);
      },
      async after() {
        await check(hub, rows);
        await dropSlots(hub, slots);
      },
    },
  );
  const what = `${rowsPerTransaction.toLocaleString('en')}-row transactions`;
  const against = 'reader that discards';
  return compare(
    { what, unit: 'rows/s', against, goal: { bound: 'at least', value: goal } },
    samples.ours,
    samples.bare,
    ratePerSecond,
  );
}

/** A fast capture that lost a row would be worth nothing. */
async function check(hub: BenchHub, rows: number): Promise<void> {
  const [found] = await hub.sql(
    `select (select count(*) from truespoke.journal)::text as journal, (select count(*) from truespoke.delivery)::text as deliveries`,
  );
  if (found?.['journal'] === String(rows) && found['deliveries'] === String(rows)) return;
  throw new Error(`captured ${JSON.stringify(found)} of ${rows} rows`);
}
