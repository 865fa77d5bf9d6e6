// Row 5: a whole re-scan where nothing changed, and where 5 % did; against COPY with an anti-join prefilter of the same rows (and the
// same writes). Where nothing changed, no row may be written: the WAL tells.
import { alone, compare, interleave, ratePerSecond, series, type Row } from '../harness.js';
import { acceptAll, emptyContacts, mergeAll, type Edits } from '../contacts.js';
import { openHub } from '../hub.js';
import { contactYaml, spoke } from '../records.js';

const every = 20;

export const rescan: Row = {
  number: 5,
  name: '05-rescan',
  title: 're-scan where nothing changed, and where 5 % did',
  async run(bench) {
    const records = bench.size(1_000_000, 2_000);
    const hub = await openHub(bench, contactYaml([spoke]), [spoke]);
    const plain = await openHub(bench, contactYaml([spoke]), [spoke]);
    const editsOf =
      (round: number): Edits =>
      (i) =>
        i % every === 0 ? round : 0;
    try {
      for (const one of [hub, plain]) await emptyContacts(one);
      await acceptAll(hub, records, () => 0);
      await mergeAll(plain, records, () => 0);
      for (const one of [hub, plain]) await one.sql('vacuum analyze');
      const wal: number[] = [];
      const same = await interleave(bench, {
        async ours() {
          wal.push((await hub.walBytes(async () => void (await acceptAll(hub, records, () => 0)))) / records);
          return records;
        },
        bare: () => mergeAll(plain, records, () => 0, { prefilter: true }),
      });
      const some = await interleave(bench, {
        ours: (round) => acceptAll(hub, records, editsOf(round + 1)),
        bare: (round) => mergeAll(plain, records, editsOf(round + 1), { prefilter: true }),
      });
      const against = 'COPY + anti-join';
      return [
        compare(
          { what: 'nothing changed', unit: 'records/s', against, goal: { bound: 'at least', value: 0.4 } },
          same.ours,
          same.bare,
          ratePerSecond,
        ),
        alone(
          {
            what: 'nothing changed: WAL',
            unit: 'bytes/record',
            goal: { bound: 'at most', value: 1 },
            note: 'cursors are saved once a page; a locked row would cost about 100 bytes',
          },
          series(wal),
        ),
        compare(
          {
            what: '5 % changed',
            unit: 'records/s',
            against: `${against} + MERGE`,
            goal: { bound: 'at least', value: 0.35 },
          },
          some.ours,
          some.bare,
          ratePerSecond,
        ),
      ];
    } finally {
      await hub.drop();
      await plain.drop();
    }
  },
};
