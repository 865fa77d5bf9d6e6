// Row 4: remote records to hub rows, links with bases, provenance and cursor, through the door that every backfill takes; against
// COPY into a temporary table and MERGE of the same hub rows, and nothing else.
import { compare, interleave, ratePerSecond, type Row } from '../harness.js';
import { openHub } from '../hub.js';
import { acceptAll, emptyContacts, mergeAll } from '../contacts.js';
import { contactYaml, spoke } from '../records.js';

export const backfill: Row = {
  number: 4,
  name: '04-backfill',
  title: 'backfill: remote records to hub rows, links with bases, provenance, cursor',
  async run(bench) {
    const records = bench.size(1_000_000, 2_000);
    const hub = await openHub(bench, contactYaml([spoke]), [spoke]);
    const plain = await openHub(bench, contactYaml([spoke]), [spoke]);
    try {
      const none = (): number => 0;
      const samples = await interleave(
        bench,
        { ours: () => acceptAll(hub, records, none), bare: () => mergeAll(plain, records, none) },
        { before: async () => void (await emptyContacts(hub), await emptyContacts(plain)) },
      );
      return [
        compare(
          {
            what: `${records.toLocaleString('en')} records of 12 fields`,
            unit: 'records/s',
            against: 'COPY + MERGE of the hub rows',
            goal: { bound: 'at least', value: 0.3 },
          },
          samples.ours,
          samples.bare,
          ratePerSecond,
        ),
      ];
    } finally {
      await hub.drop();
      await plain.drop();
    }
  },
};
