// Planted bugs of capture: what was committed to the hub must be journaled, marked and only then acknowledged (law 6).
import type { PlantedBug } from './bug.js';
import { diesAt, gathering, growing, leisurely } from './plans.js';

const file = 'src/outbound/capture.ts';
const reader = 'src/outbound/change-reader.ts';
const journals = 'src/store/journals.ts';

export const captureBugs: readonly PlantedBug[] = [
  {
    name: 'acknowledged-before-the-journal-commits',
    law: 'law 6',
    file,
    find: `    if (this.spill === null) await this.writeReady(ready, endLsn);`,
    replace: `    this.deps.source.acknowledge(endLsn);
    if (this.spill === null) await this.writeReady(ready, endLsn);`,
    plan: diesAt(0.1, 'journal_inserted', 'journal_written', 'position_advanced'),
    why: 'a crash between the two loses what Postgres was told to forget',
  },
  {
    name: 'acknowledged-one-too-far',
    law: 'law 6',
    file,
    find: `    this.acknowledge(endLsn);`,
    replace: `    this.acknowledge((endLsn + 1n) as Lsn);`,
    why: 'the library did just that: LSN + 1 claims a byte of the next transaction',
  },
  {
    name: 'idle-position-acknowledged-and-not-stored',
    law: 'law 6',
    file,
    find: `durableLsn: serverLsn,`,
    replace: `durableLsn: this.durableLsn,`,
    why: 'a restart then believes that the server has forgotten more than was stored: a gap that is none',
  },
  {
    name: 'position-moved-in-a-transaction-of-its-own',
    law: 'law 6',
    file,
    find: `    const owned = await advancePosition(tx, {
      slot,
      epoch,
      durableLsn: endLsn,`,
    replace: `    const owned = await advancePosition(this.deps.pool as never, {
      slot,
      epoch,
      durableLsn: endLsn,`,
    plan: diesAt(0.3, 'position_advanced'),
    why: 'after a crash the rows are sent again and skipped: the position says they are durable',
  },
  {
    name: 'journaled-by-commit-position-only',
    law: 'law 6',
    file,
    find: `    open.seq += 1;`,
    replace: ``,
    why: 'dedupe on the commit alone: of a transaction with many rows one is kept',
  },
  {
    name: 'deliveries-marked-after-the-journal-commit',
    law: 'law 6',
    file,
    find: `    await markDirty(tx, gathered.dirty.rows());`,
    replace: `    const late = gathered.dirty.rows();
    void this.deps.clock.sleep(2_000).then(() => transaction(this.deps.pool, (own) => markDirty(own, late)));`,
    plan: diesAt(0.2, 'journal_committed', 'acknowledged'),
    why: 'a crash between the two leaves a journaled edit that nobody delivers',
  },
  {
    name: 'an-echo-swallows-the-edit-before-it',
    law: 'law 1',
    file: 'src/outbound/gathered.ts',
    find: `{ ...dirty, after: union(before.after, dirty.after) }`,
    replace: `dirty`,
    plan: gathering,
    operations: 60,
    why: 'two changes of one record in one batch: only the later one is compared with the base',
  },
  {
    name: 'echo-trusted-by-its-marker',
    law: 'law 1',
    file: reader,
    find: `  for (const route of table.routes) {`,
    replace: `  for (const route of table.routes.filter(({ spoke }) => spoke !== origin)) {`,
    also: [
      {
        file: reader,
        find: `    targets: targets(table, key,`,
        replace: `    targets: targets(marker.origin, table, key,`,
      },
      { file: reader, find: `function targets(\n`, replace: `function targets(\n  origin: string,\n` },
    ],
    plan: { forges: true },
    why: 'a marker that anyone can write hides an edit from the spoke that it names',
  },
  {
    name: 'unchanged-toast-read-as-null',
    law: 'law 6',
    file: 'src/outbound/decode.ts',
    find: `kind === part.unchanged) tuple[i] = undefined;`,
    replace: `kind === part.unchanged) tuple[i] = null;`,
    why: 'a long value that an update left alone becomes empty in the journal',
  },
  {
    name: 'moved-child-marks-only-its-new-parent',
    law: 'no lost edit',
    file: reader,
    find: `    for (const parent of new Set(valuesOf(route.parentField))) {`,
    replace: `    for (const parent of valuesOf(route.parentField).slice(1)) {`,
    plan: { ...leisurely, ...growing },
    why: 'an inserted child has no old parent: the parent that embeds it hears nothing',
  },
  {
    name: 'spilled-chunk-forgotten',
    law: 'law 6',
    file,
    find: `    await this.writeRows(this.spill.tx, open.rows, true);`,
    replace: ``,
    plan: { spillRows: 2 },
    why: 'the first rows of a transaction too large for memory are dropped',
  },
  {
    name: 'one-line-of-a-journal-batch-stored',
    law: 'law 6',
    file: journals,
    find: `truespoke.journal (\${columns}) from stdin\`, rows.filled())`,
    replace: `truespoke.journal (\${columns}) from stdin\`, rows.filled().map((piece) => piece.subarray(0, piece.indexOf(10) + 1)))`,
    why: 'the fast way stores one line of a batch',
  },
];
