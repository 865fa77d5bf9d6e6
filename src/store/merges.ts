// Owns truespoke.merge and the SQL that joins two hub records and takes them apart again.
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubFields } from '../model/record.js';
import type { HubTable } from './hub.js';
import type { Tx } from './pool.js';

export type LinkKey = readonly [spoke: SpokeName, externalId: string];
export type Reference = readonly [entity: EntityName, field: FieldName, hubId: HubId];

export interface MergeRow {
  readonly id: string;
  readonly entity: EntityName;
  readonly survivor: HubId;
  readonly loser: HubId;
  readonly loserRow: HubFields;
  readonly filled: HubFields;
  readonly moved: readonly LinkKey[];
  readonly merged: readonly LinkKey[];
  readonly repointed: readonly Reference[];
}

export async function insertMerge(tx: Tx, row: Omit<MergeRow, 'id'>, actor: string, atMs: number): Promise<string> {
  const { rows } = await tx.query(
    `insert into truespoke.merge (at, entity, survivor, loser, actor, loser_row, filled, moved, merged, repointed)
     values ($1::timestamptz, $2, $3, $4, $5, $6::jsonb, $7::jsonb, $8::jsonb, $9::jsonb, $10::jsonb) returning id`,
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
    ],
  );
  return rows[0]?.['id'] ?? '';
}

/** A merge that was not undone, locked; null when there is none with this id. */
export async function lockMerge(tx: Tx, id: string): Promise<MergeRow | null> {
  const { rows } = await tx.query(
    `select id, entity, survivor, loser, loser_row, filled, moved, merged, repointed from truespoke.merge
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
    filled: json('filled'),
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

export async function setLinks(
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
