// Owns truespoke.journal (every captured change) and truespoke.position (how far the slot was made durable).
// Both are written in the transaction that also marks the deliveries: a position never claims more than was stored.
import { formatLsn, parseLsn, type Lsn } from '../model/lsn.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubValue } from '../model/record.js';
import { type CopyBuffer, copyPieces, copyText } from './copy.js';
import { quoteName } from './identifier.js';
import type { Queryable, Tx } from './pool.js';

export interface JournalRow {
  /** Commit time, ISO 8601. */
  readonly at: string;
  readonly commitLsn: string;
  readonly seq: number;
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly op: 'insert' | 'update' | 'delete' | 'truncate';
  readonly origin: string;
  readonly trace: string | null;
  /** JSON of the changed fields. */
  readonly before: string | null;
  readonly after: string | null;
}

/** Makes the partition of a day (`2026-11-21`). Own statement, outside the journaling transaction. */
export async function ensureJournalDay(db: Queryable, day: string): Promise<void> {
  const next = new Date(Date.parse(`${day}T00:00:00Z`) + 86_400_000).toISOString().slice(0, 10);
  const name = quoteName(`journal_${day.replaceAll('-', '')}`);
  await db.query(
    `create table if not exists truespoke.${name} partition of truespoke.journal for values from ('${day}Z') to ('${next}Z')`,
  );
}

/** Drops the partitions of whole days before `day` (`2026-10-01`). Returns how many. */
export async function dropJournalBefore(db: Queryable, day: string): Promise<number> {
  const { rows } = await db.query(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
      where i.inhparent = 'truespoke.journal'::regclass and c.relname < $1 order by c.relname`,
    [`journal_${day.replaceAll('-', '')}`],
  );
  for (const row of rows) await db.query(`drop table truespoke.${quoteName(row['name'] ?? '')}`);
  return rows.length;
}

/** A journal row ready to be stored, as COPY takes it. */
export function journalLine(epoch: number, row: JournalRow): string {
  const { at, commitLsn, seq, entity, hubId, op, origin, trace, before, after } = row;
  const names = `${copyText(entity)}\t${copyText(hubId)}\t${op}\t${copyText(origin)}\t${copyText(trace)}`;
  return `${at}\t${epoch}\t${commitLsn}\t${seq}\t${names}\t${copyText(before)}\t${copyText(after)}\n`;
}

const columns = 'at, epoch, commit_lsn, seq, entity, hub_id, op, origin, trace, before, after';

/**
 * Stores lines. A change that is journaled already stays as it is (another process may have stored it a moment ago) when it `mayRepeat`;
 * else it is a unique violation (23505), and the rest is twice as fast.
 */
export async function insertJournal(tx: Tx, rows: CopyBuffer, options: { readonly mayRepeat: boolean }): Promise<void> {
  if (rows.lines === 0) return;
  if (!options.mayRepeat) return copyPieces(tx, `copy truespoke.journal (${columns}) from stdin`, rows.filled());
  await tx.query('create temporary table if not exists journal_stage (like truespoke.journal) on commit delete rows');
  await copyPieces(tx, `copy journal_stage (${columns}) from stdin`, rows.filled());
  await tx.query(
    `with staged as (delete from journal_stage returning ${columns})
     insert into truespoke.journal (${columns}) select ${columns} from staged on conflict do nothing`,
  );
}

export interface Rewrite {
  readonly hubId: HubId;
  readonly field: FieldName;
  readonly value: HubValue;
  /** Changing again and again is what such a field is for: two spokes that count, or that raise a mark in turn. */
  readonly accumulates: boolean;
}

/**
 * Of these changes, those that go round. Either they repeat themselves: the spoke has set this very value twice since then, another
 * spoke has set another one twice in between. Or they never do (each round adds a letter): this spoke has taken the field from another
 * one `turns.max` times since `turns.sinceMs`, faster than people do. In both cases no application touched the field, and what was before
 * a person's decision does not count. Returns the fields by record.
 */
export async function findPingPong(
  tx: Tx,
  feed: {
    readonly spoke: SpokeName;
    readonly entity: EntityName;
    readonly sinceMs: number;
    readonly turns: { readonly max: number; readonly sinceMs: number };
  },
  rewrites: readonly Rewrite[],
): Promise<Map<HubId, Set<string>>> {
  const { rows } = await tx.query({
    name: 'journal_ping_pong',
    text: `select q.hub_id, q.field
       from unnest($4::text[], $5::text[], $6::text[], $7::boolean[]) as q (hub_id, field, value, accumulates)
       cross join lateral (
         select count(*) filter (where j.origin = $1 and j.value is not distinct from q.value) as ours,
                count(*) filter (where j.origin <> $1 and j.value is distinct from q.value) as theirs,
                count(*) filter (where j.origin = $1 and j.previous <> $1 and j.at >= $8::timestamptz) as turns,
                count(*) filter (where j.origin = 'application') as people
           from (select j.origin, j.at, j.after ->> q.field as value,
                        lag(j.origin) over (order by j.epoch, j.commit_lsn, j.seq) as previous
                   from truespoke.journal j
                  where j.entity = $2 and j.hub_id = q.hub_id and j.at >= $3::timestamptz and j.op = 'update' and j.after ? q.field
                    and j.at > coalesce((select max(k.decided_at) from truespoke.conflict k
                                          where k.entity = $2 and k.hub_id = q.hub_id and k.field = q.field and k.policy = 'ping_pong'),
                                        '-infinity')) j) c
      where c.people = 0 and (c.ours >= 2 and c.theirs >= 2 or c.turns >= $9 and not q.accumulates)`,
    values: [
      feed.spoke,
      feed.entity,
      new Date(feed.sinceMs).toISOString(),
      rewrites.map((rewrite) => rewrite.hubId),
      rewrites.map((rewrite) => rewrite.field),
      rewrites.map((rewrite) => rewrite.value),
      rewrites.map((rewrite) => rewrite.accumulates),
      new Date(feed.turns.sinceMs).toISOString(),
      feed.turns.max,
    ],
  });
  const found = new Map<HubId, Set<string>>();
  for (const row of rows) {
    const id = row['hub_id'] as HubId;
    found.set(id, (found.get(id) ?? new Set()).add(row['field'] ?? ''));
  }
  return found;
}

export interface Position {
  readonly slot: string;
  /** Counts re-creations of the slot: positions of different epochs do not compare. */
  readonly epoch: number;
  readonly systemIdentifier: string;
  readonly timeline: number;
  readonly publication: string;
  readonly publicationOid: number;
  /** Which tables were published how, as last checked. */
  readonly memberships: string | null;
  readonly durableLsn: Lsn;
  /** Every commit before this time is journaled; absent or null: not known. */
  readonly currentAtMs?: number | null;
}

export async function loadPosition(db: Queryable, slot: string): Promise<Position | null> {
  const { rows } = await db.query(
    `select slot, epoch, system_identifier, timeline, publication, publication_oid, memberships, durable_lsn, current_at
       from truespoke.position where slot = $1`,
    [slot],
  );
  const [row] = rows;
  if (row === undefined) return null;
  return {
    slot,
    epoch: Number(row['epoch']),
    systemIdentifier: row['system_identifier'] ?? '',
    timeline: Number(row['timeline']),
    publication: row['publication'] ?? '',
    publicationOid: Number(row['publication_oid']),
    memberships: row['memberships'] ?? null,
    durableLsn: parseLsn(row['durable_lsn'] ?? '0/0'),
    currentAtMs: row['current_at'] === null || row['current_at'] === undefined ? null : Date.parse(row['current_at']),
  };
}

/** Pins a new slot: start of an epoch. */
export async function startEpoch(db: Queryable, position: Position, atMs: number): Promise<void> {
  await db.query(
    `insert into truespoke.position
       (slot, epoch, system_identifier, timeline, publication, publication_oid, durable_lsn, updated_at, memberships)
     values ($1, $2, $3, $4, $5, $6, $7::pg_lsn, $8::timestamptz, $9)
     on conflict (slot) do update set epoch = excluded.epoch, system_identifier = excluded.system_identifier,
       timeline = excluded.timeline, publication = excluded.publication, publication_oid = excluded.publication_oid,
       durable_lsn = excluded.durable_lsn, current_at = null,
       updated_at = excluded.updated_at, memberships = excluded.memberships`,
    [
      position.slot,
      position.epoch,
      position.systemIdentifier,
      position.timeline,
      position.publication,
      position.publicationOid,
      formatLsn(position.durableLsn),
      new Date(atMs).toISOString(),
      position.memberships,
    ],
  );
}

/** What is published, or the timeline, changed in a way that lost nothing. */
export async function noteSource(
  db: Queryable,
  slot: string,
  facts: { readonly timeline: number; readonly memberships: string | null },
): Promise<void> {
  await db.query(`update truespoke.position set timeline = $2::int, memberships = $3 where slot = $1`, [
    slot,
    facts.timeline,
    facts.memberships,
  ]);
}

/** Moves the durable position. Returns false when another process owns a newer epoch: this one must stop. */
export async function advancePosition(
  tx: Tx,
  at: {
    readonly slot: string;
    readonly epoch: number;
    readonly durableLsn: Lsn;
    readonly atMs: number;
    /** Commit time of the last journaled transaction, or now when nothing is outstanding. */
    readonly currentAtMs?: number | null;
  },
): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'position_advance',
    text: `update truespoke.position set durable_lsn = greatest(durable_lsn, $3::pg_lsn), updated_at = $4::timestamptz,
                  current_at = greatest(current_at, $5::timestamptz)
            where slot = $1 and epoch = $2::int`,
    values: [at.slot, at.epoch, formatLsn(at.durableLsn), new Date(at.atMs).toISOString(), isoOrNull(at.currentAtMs)],
  });
  return rowCount === 1;
}

const isoOrNull = (ms: number | null | undefined): string | null =>
  ms === null || ms === undefined ? null : new Date(ms).toISOString();
