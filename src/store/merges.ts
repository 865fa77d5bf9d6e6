// Owns truespoke.merge and the SQL that joins two hub records and takes them apart again.
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubFields } from '../model/record.js';
import type { HubTable } from './hub.js';
import type { Queryable, Tx } from './pool.js';

export type LinkKey = readonly [spoke: SpokeName, externalId: string];
export type Reference = readonly [entity: EntityName, field: FieldName, hubId: HubId];

export interface MergeRow {
  readonly id: string;
  readonly entity: EntityName;
  readonly survivor: HubId;
  readonly loser: HubId;
  readonly loserRow: HubFields;
  /** The whole row as JSON, columns that no mapping names too; null in merges of an earlier version. */
  readonly whole: string | null;
  /** What the survivor got, and what it held there before where that was something. */
  readonly filled: HubFields;
  readonly replaced: HubFields;
  readonly moved: readonly LinkKey[];
  readonly merged: readonly LinkKey[];
  readonly repointed: readonly Reference[];
}

export async function insertMerge(tx: Tx, row: Omit<MergeRow, 'id'>, actor: string, atMs: number): Promise<string> {
  const { rows } = await tx.query(
    `insert into truespoke.merge (at, entity, survivor, loser, actor, loser_row, filled, moved, merged, repointed,
        loser_whole, replaced)
     values ($1::timestamptz, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb, $9::jsonb, $10::jsonb, $11::jsonb, $12::jsonb)
     returning id`,
    [
      new Date(atMs).toISOString(),
      row.entity,
      row.survivor,
      row.loser,
      actor,
      JSON.stringify(row.loserRow),
      JSON.stringify(row.filled),
      JSON.stringify(row.moved),
      JSON.stringify(row.merged),
      JSON.stringify(row.repointed),
      row.whole,
      JSON.stringify(row.replaced),
    ],
  );
  return rows[0]?.['id'] ?? '';
}

/** A merge that was not undone, locked; null when there is none with this id. */
export async function lockMerge(tx: Tx, id: string): Promise<MergeRow | null> {
  const { rows } = await tx.query(
    `select id, entity, survivor, loser, loser_row, loser_whole, filled, replaced, moved, merged, repointed from truespoke.merge
      where id = $1::bigint and undone_at is null for update`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return null;
  const json = <T>(column: string): T => JSON.parse(row[column] ?? 'null') as T;
  return {
    id,
    entity: row['entity'] as EntityName,
    survivor: row['survivor'] as HubId,
    loser: row['loser'] as HubId,
    loserRow: json('loser_row'),
    whole: row['loser_whole'] ?? null,
    filled: json('filled'),
    replaced: json('replaced'),
    moved: json('moved'),
    merged: json('merged'),
    repointed: json('repointed'),
  };
}

export async function markUndone(tx: Tx, id: string, atMs: number): Promise<void> {
  await tx.query(`update truespoke.merge set undone_at = $2::timestamptz where id = $1::bigint`, [
    id,
    new Date(atMs).toISOString(),
  ]);
}

/** The merge, not undone, in which this one's survivor went. */
export async function laterMerge(db: Queryable, { entity, survivor, id }: MergeRow): Promise<string | null> {
  const { rows } = await db.query(
    `select id from truespoke.merge
      where entity = $1 and loser = $2 and id > $3::bigint and undone_at is null order by id limit 1`,
    [entity, survivor, id],
  );
  return rows[0]?.['id'] ?? null;
}

/** Where a record that was merged away lives on, through as many merges as there were. */
export async function survivorOf(db: Queryable, entity: EntityName, id: HubId): Promise<HubId | null> {
  const { rows } = await db.query(
    `with recursive gone as (
       select m.id, m.survivor from truespoke.merge m where m.entity = $1 and m.loser = $2 and m.undone_at is null
       union
       select m.id, m.survivor from gone g
         join truespoke.merge m on m.entity = $1 and m.loser = g.survivor and m.id > g.id and m.undone_at is null)
     select survivor from gone order by id desc limit 1`,
    [entity, id],
  );
  return (rows[0]?.['survivor'] ?? null) as HubId | null;
}

/** A whole row as JSON text. */
export async function readWhole(db: Queryable, table: HubTable, id: HubId): Promise<string | null> {
  const { rows } = await db.query(
    `select to_jsonb(t)::text as whole from ${table.sql} t where t.${table.id.sql} = $1::text::${table.id.type}`,
    [id],
  );
  return rows[0]?.['whole'] ?? null;
}

/** Puts a row back as it was; columns that are computed, or gone by now, are left out. */
export async function restoreWhole(tx: Tx, table: HubTable, whole: string): Promise<void> {
  const { rows } = await tx.query(
    `select quote_ident(attname) as name from pg_attribute
      where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [table.sql],
  );
  const columns = rows.map((row) => row['name'] ?? '');
  await tx.query(
    `insert into ${table.sql} (${columns.join(', ')}) overriding system value
     select ${columns.map((name) => `r.${name}`).join(', ')} from jsonb_populate_record(null::${table.sql}, $1::jsonb) r`,
    [whole],
  );
}

/** The links of these records at every spoke: before those of deliveries, as everywhere. */
export async function lockLinksOf(tx: Tx, entity: EntityName, ids: readonly HubId[]): Promise<void> {
  await tx.query(
    `select 1 from truespoke.link l where l.entity = $1 and l.hub_id = any($2::text[]) order by l.spoke, l.external_id for update`,
    [entity, ids],
  );
}

/** Moves the loser's live links to the survivor; where the survivor has one at that spoke already, the loser's is set aside. */
export async function moveLinks(
  tx: Tx,
  entity: EntityName,
  from: HubId,
  to: HubId,
): Promise<{ readonly moved: readonly LinkKey[]; readonly merged: readonly LinkKey[] }> {
  const { rows } = await tx.query(
    `select l.spoke, l.external_id,
            exists (select 1 from truespoke.link o where o.spoke = l.spoke and o.entity = $1 and o.hub_id = $3 and o.state = 'live')::text as taken
       from truespoke.link l where l.entity = $1 and l.hub_id = $2 and l.state = 'live'
      order by l.spoke, l.external_id for update`,
    [entity, from, to],
  );
  const keys = (taken: string): LinkKey[] =>
    rows.filter((row) => row['taken'] === taken).map((row) => [row['spoke'] as SpokeName, row['external_id'] ?? '']);
  const [moved, merged] = [keys('false'), keys('true')];
  await setLinks(tx, entity, moved, to, 'live');
  await setLinks(tx, entity, merged, to, 'merged');
  return { moved, merged };
}

async function setLinks(
  tx: Tx,
  entity: EntityName,
  keys: readonly LinkKey[],
  hubId: HubId,
  state: 'live' | 'merged',
): Promise<void> {
  if (keys.length === 0) return;
  await tx.query(
    `update truespoke.link l set hub_id = $2, state = $3
       from unnest($4::text[], $5::text[]) k (spoke, external_id)
      where l.spoke = k.spoke and l.entity = $1 and l.external_id = k.external_id`,
    [entity, hubId, state, keys.map(([spoke]) => spoke), keys.map(([, externalId]) => externalId)],
  );
}

/** Links go back to the loser, but for those that became something else since. */
export async function restoreLinks(tx: Tx, merge: MergeRow): Promise<void> {
  const keys = [...merge.moved, ...merge.merged];
  if (keys.length === 0) return;
  await tx.query(
    `update truespoke.link l set hub_id = $2, state = case when l.state = 'merged' then 'live' else l.state end
       from unnest($4::text[], $5::text[]) k (spoke, external_id)
      where l.spoke = k.spoke and l.entity = $1 and l.external_id = k.external_id and l.hub_id = $3`,
    [merge.entity, merge.loser, merge.survivor, keys.map(([spoke]) => spoke), keys.map(([, externalId]) => externalId)],
  );
}

/** Re-points one reference field from one record to another; returns the rows it changed. `only` limits it to these rows. */
export async function repoint(
  tx: Tx,
  table: HubTable,
  field: FieldName,
  refs: { readonly from: HubId; readonly to: HubId; readonly only?: readonly HubId[] },
): Promise<readonly HubId[]> {
  const column = table.columns.find((candidate) => candidate.field.name === field);
  if (column === undefined) return [];
  const limit = refs.only === undefined ? 'true' : `t.${table.id.sql} = any($3::text[]::${table.id.type}[])`;
  const { rows } = await tx.query(
    `update ${table.sql} t set ${column.sql} = $2::text::${column.type}
      where t.${column.sql} = $1::text::${column.type} and ${limit} returning t.${table.id.sql}::text as id`,
    refs.only === undefined ? [refs.from, refs.to] : [refs.from, refs.to, refs.only],
  );
  return rows.map((row) => row['id'] as HubId);
}
