// Owns SQL that marks whole entities dirty: after a gap in the stream, every row may have changed unseen. Diffing decides per record;
// deletions that were not seen are never assumed, they wait for a person (law 8).
import type { EntityName, SpokeName } from '../model/ids.js';
import type { HubTable } from './hub.js';
import type { Queryable, Tx } from './pool.js';

/** Every row of the table goes through a diff for this spoke once. Returns how many. */
export async function markTableDirty(
  tx: Tx,
  table: HubTable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  atMs: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `insert into truespoke.delivery as d (spoke, entity, hub_id, state, generation, lane, dirty_at, trace)
     select $1, $2, t.${table.id.sql}::text, 'pending', 1, 1, $3::timestamptz, 'resync' from ${table.sql} t
      order by t.${table.id.sql}::text
     on conflict (spoke, entity, hub_id) do update set generation = d.generation + 1`,
    [feed.spoke, feed.entity, new Date(atMs).toISOString()],
  );
  return rowCount ?? 0;
}

/** Live links whose hub row is gone: held, with the count for the review. */
export async function holdMissingRows(
  tx: Tx,
  table: HubTable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  atMs: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `insert into truespoke.delivery as d (spoke, entity, hub_id, state, generation, lane, dirty_at, trace, reason)
     select l.spoke, l.entity, l.hub_id, 'held', 1, 1, $3::timestamptz, 'resync', 'deleted_unseen'
       from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.state = 'live'
        and not exists (select 1 from ${table.sql} t where t.${table.id.sql}::text = l.hub_id)
      order by l.hub_id
     on conflict (spoke, entity, hub_id) do nothing`,
    [feed.spoke, feed.entity, new Date(atMs).toISOString()],
  );
  return rowCount ?? 0;
}

/**
 * A held deletion whose row is back means nothing any more: the record is compared like any other. Returns how many. An archived row is
 * there and not back: freeing it would delete its record at the spoke before anyone was asked (law 8).
 */
export async function freeReturned(db: Queryable, table: HubTable): Promise<number> {
  const back = table.archives ? 'and t.deleted_at is null' : '';
  const { rowCount } = await db.query(
    `update truespoke.delivery d set state = 'pending', reason = null, not_before = null from ${table.sql} t
      where d.state = 'held' and d.entity = $1 and t.${table.id.sql} = d.hub_id::${table.id.type} ${back}`,
    [table.entity.name],
  );
  return rowCount ?? 0;
}

/** REPLICA IDENTITY FULL on a generated table: the stream then tells what a row held before, and TOAST values come whole. */
export async function ensureFullIdentity(tx: Tx, tables: readonly HubTable[]): Promise<void> {
  for (const table of tables) {
    if (table.entity.table.adopted) continue;
    const { rows } = await tx.query(`select relreplident as identity from pg_class where oid = $1::regclass`, [
      table.sql,
    ]);
    if (rows[0]?.['identity'] !== 'f') await tx.query(`alter table ${table.sql} replica identity full`);
  }
}
