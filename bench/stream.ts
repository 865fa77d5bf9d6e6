// Owns WAL to read: a hub with one published table of eight columns, slots on it, and transactions of a chosen size.
import { systemClock } from '../src/base/clock.js';
import { must } from '../src/base/assert.js';
import { silentLog } from '../src/base/log.js';
import { defaultLimits } from '../src/engine/engine.js';
import { capture } from '../src/outbound/capture.js';
import type { TableMap } from '../src/outbound/change-reader.js';
import { routesOf } from '../src/outbound/route.js';
import { openSlot } from '../src/outbound/slot.js';
import { startEpoch, type Position } from '../src/store/journals.js';
import { openPool } from '../src/store/pool.js';
import { createSlot, dropSlot, readSystem } from '../src/store/slots.js';
import type { Bench } from './harness.js';
import { openHub, type BenchHub } from './hub.js';

export const publication = 'truespoke';

export const recordYaml = (spokes: readonly string[]): string => `
entity: record
fields:
  email: text
  name: text
  phone: text
  city: text
  size: { type: decimal, scale: 2 }
  rank: integer
  seen_at: timestamp
spokes:
${spokes.map((spoke) => `  ${spoke}: { object: Contact, fields: { email: A, name: B, phone: C, city: D, size: E, rank: F, seen_at: G } }`).join('\n')}
`;

export async function openStreamHub(bench: Bench, spokes: readonly string[] = ['left']): Promise<BenchHub> {
  const hub = await openHub(bench, recordYaml(spokes), spokes);
  await hub.sql(`create publication ${publication} for tables in schema hub`);
  return hub;
}

export async function makeSlots(hub: BenchHub, names: readonly string[]): Promise<void> {
  for (const name of names) await createSlot(hub.pool, name);
}

export async function dropSlots(hub: BenchHub, names: readonly string[]): Promise<void> {
  for (const name of names) await dropSlot(hub.pool, name);
}

const values = `'person' || g || '@example.test', 'Person number ' || g, '+1555' || lpad((g % 10000000)::text, 7, '0'),
  'City ' || (g % 1000), (g % 100000) / 100.0, g, timestamptz '2026-01-01 00:00:00Z' + g * interval '1 second'`;
const columns = 'email, name, phone, city, size, rank, seen_at';

/** `rows` new rows, `rowsPerTransaction` at a time. Commits without waiting for the disk: only the WAL matters here. */
export async function insertInto(hub: BenchHub, rows: number, rowsPerTransaction: number): Promise<void> {
  const transactions = Math.ceil(rows / rowsPerTransaction);
  await hub.sql(`do $$ begin
    set synchronous_commit = off;
    for i in 0 .. ${transactions - 1} loop
      insert into hub.record (${columns})
      select ${values} from generate_series(i * ${rowsPerTransaction} + 1, (i + 1) * ${rowsPerTransaction}) g;
      commit;
    end loop;
    reset synchronous_commit;
  end $$`);
}

/** Every one of the `records` is changed once, `rowsPerTransaction` at a time, in the order of their making. */
export async function updateIn(hub: BenchHub, records: number, rowsPerTransaction: number): Promise<void> {
  await hub.sql(`create unique index if not exists record_number on hub.record (rank)`);
  await hub.sql(`do $$ begin
    set synchronous_commit = off;
    for i in 0 .. ${Math.ceil(records / rowsPerTransaction) - 1} loop
      update hub.record set size = size + 1
       where rank > i * ${rowsPerTransaction} and rank <= least((i + 1) * ${rowsPerTransaction}, ${records});
      commit;
    end loop;
    reset synchronous_commit;
  end $$`);
}

/** Everything of an earlier round is forgotten. */
export async function emptyStreamHub(hub: BenchHub): Promise<void> {
  await hub.sql('truncate hub.record, truespoke.delivery, truespoke.journal, truespoke.position');
  await hub.sql('checkpoint');
}

/** Ours, from opening the stream until the last of `rows` is durable and acknowledged. */
export async function captureRows(hub: BenchHub, slot: string, rows: number): Promise<number> {
  const pool = openPool({ url: hub.url, applicationName: 'truespoke journal', max: 2, reserved: true });
  const stop = new AbortController();
  const position = await startPosition(hub, slot);
  let changes = 0;
  const source = await openSlot({ url: hub.url, slot, publication, from: position.durableLsn });
  try {
    await capture(
      {
        pool,
        source,
        position,
        tables: tableMap(hub),
        clock: systemClock,
        log: silentLog,
        limits: defaultLimits.capture,
        wake: () => undefined,
        crashpoint: () => undefined,
        onProgress: (progress) => {
          changes += progress.changes;
          if (changes >= rows) stop.abort();
        },
      },
      stop.signal,
    );
  } finally {
    await source.close();
    await pool.end();
  }
  return changes;
}

export async function startPosition(hub: BenchHub, slot: string): Promise<Position> {
  const { systemId } = await readSystem(hub.pool);
  const { rows } = await hub.pool.query(
    `select (confirmed_flush_lsn - '0/0'::pg_lsn)::text as at from pg_replication_slots where slot_name = $1`,
    [slot],
  );
  const [row] = rows as { at: string }[];
  const position: Position = {
    slot,
    epoch: 1,
    systemIdentifier: systemId,
    timeline: 1,
    publication,
    publicationOid: 0,
    memberships: null,
    durableLsn: BigInt(must(row, 'slot').at) as Position['durableLsn'],
  };
  await startEpoch(hub.pool, position, systemClock.now());
  return position;
}

export function tableMap(hub: BenchHub): TableMap {
  return new Map(
    [...hub.mapping.entities.values()].map((entity) => [
      `${entity.table.schema}.${entity.table.name}`,
      { entity, routes: routesOf(hub.mapping, entity) },
    ]),
  );
}

const fieldColumns = ['email', 'name', 'phone', 'city', 'size', 'rank', 'seen_at'];

/** As if every record had been agreed on with each spoke: from here on only edits make calls. */
export async function linkRecords(hub: BenchHub, spokes: readonly string[]): Promise<void> {
  const image = `jsonb_build_object(${fieldColumns.map((column) => `'${column}', t.${column}::text`).join(', ')})`;
  for (const spoke of spokes) {
    await hub.sql(`insert into truespoke.link
        (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, created_at, updated_at)
      select '${spoke}', 'record', t.id::text, 'x' || t.rank, 'live', ${image}, ${image}, '2026-06-01T00:00:00.000Z', now(), now()
        from hub.record t`);
  }
  await hub.sql('vacuum analyze');
}

/** Ids in the order of their making. */
export async function recordIds(hub: BenchHub): Promise<readonly string[]> {
  return (await hub.sql('select id::text as id from hub.record order by rank')).map((row) => row['id'] ?? '');
}
