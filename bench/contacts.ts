// Owns both ways of bringing contacts in: ours, through inbound; and bare, COPY into a temporary table and one MERGE.
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { from as copyFrom } from 'pg-copy-streams';
import { systemClock } from '../src/base/clock.js';
import { cursor, spokeName } from '../src/model/ids.js';
import type { RemoteRecord } from '../src/model/record.js';
import { saveFeed } from '../src/store/cursors.js';
import type { BenchHub } from './hub.js';
import { contactColumns, copyLine, object, plainId, remoteRecord, spoke } from './records.js';

/** How often record `i` has been edited. */
export type Edits = (i: number) => number;

const pageRecords = 2_000;

/** Pages from an in-process source through the inbound door, each with its cursor. Returns how many records went in. */
export async function acceptAll(hub: BenchHub, records: number, edits: Edits): Promise<number> {
  for (let from = 0; from < records; from += pageRecords) {
    const page: RemoteRecord[] = [];
    for (let i = from; i < Math.min(from + pageRecords, records); i += 1) page.push(remoteRecord(i, edits(i)));
    await hub.inbound.accept({
      spoke: spokeName(spoke),
      object,
      records: page,
      evidence: 'listing',
      lane: 'backfill',
      commit: (tx) =>
        saveFeed(
          tx,
          { spoke: spokeName(spoke), object, kind: 'scan', cursor: cursor(String(from)), records: page.length },
          systemClock.now(),
        ),
    });
  }
  return records;
}

/** SPEED: larger than this gains nothing. */
const stageRows = 20_000;

export interface MergeOptions {
  /** Leaves out what is unchanged by an anti-join before the MERGE. */
  readonly prefilter: boolean;
}

export async function mergeAll(
  hub: BenchHub,
  records: number,
  edits: Edits,
  options: MergeOptions = { prefilter: false },
): Promise<number> {
  const client = await hub.pool.connect();
  try {
    await client.query(`create temporary table if not exists stage (like hub.contact)`);
    await client.query(`drop table if exists pg_temp.changed`);
    await client.query(`create temporary table changed (like hub.contact)`);
    for (let from = 0; from < records; from += stageRows) {
      const to = Math.min(from + stageRows, records);
      await client.query('begin');
      await client.query('truncate stage');
      const lines = Readable.from(linesOf(from, to, edits));
      const columns = ['id', ...contactColumns].join(', ');
      await pipeline(lines, client.query(copyFrom(`copy stage (${columns}) from stdin`)));
      await client.query(options.prefilter ? filteredMerge : plainMerge);
      await client.query('commit');
    }
  } finally {
    client.release();
  }
  return records;
}

function* linesOf(from: number, to: number, edits: Edits): Generator<string> {
  for (let i = from; i < to; i += 1_000) {
    let lines = '';
    for (let k = i; k < Math.min(i + 1_000, to); k += 1) lines += copyLine(plainId(k), remoteRecord(k, edits(k)));
    yield lines;
  }
}

const columnList = contactColumns.join(', ');
const merge = (source: string): string => `merge into hub.contact t using ${source} s on t.id = s.id
  when matched then update set ${contactColumns.map((column) => `${column} = s.${column}`).join(', ')}
  when not matched then insert (id, ${columnList}) values (s.id, ${contactColumns.map((column) => `s.${column}`).join(', ')})`;
const plainMerge = merge('stage');
const unchanged = `select from hub.contact t where t.id = s.id and ${contactColumns
  .map((column) => `t.${column} is not distinct from s.${column}`)
  .join(' and ')}`;
const filteredMerge = merge(`(select s.* from stage s where not exists (${unchanged}))`);

export async function emptyContacts(hub: BenchHub): Promise<void> {
  await hub.sql('truncate hub.contact, truespoke.link, truespoke.cursor, truespoke.delivery');
  await hub.sql('checkpoint');
}
