// Owns truespoke.link: the durable pairs and their bases. Every function takes the transaction it belongs to.
import {
  externalId,
  hubId,
  version,
  type EntityName,
  type ExternalId,
  type HubId,
  type SpokeName,
  type Version,
} from '../model/ids.js';
import type { Base, BasePair, Link, Unseen } from '../model/link.js';
import type { FieldName } from '../model/ids.js';
import type { HubValue, RemoteValue } from '../model/record.js';
import { jsonArray, textArray } from './copy.js';
import type { Queryable, Row, Tx } from './pool.js';

const columns = `l.spoke, l.entity, l.hub_id, l.external_id, l.state, l.base_hub, l.base_remote, l.version,
  l.overruled, l.unseen, l.settled_at`;

function toLink(row: Row): Link {
  const hub = JSON.parse(row['base_hub'] ?? '{}') as Record<FieldName, HubValue>;
  const remote = JSON.parse(row['base_remote'] ?? '{}') as Record<FieldName, RemoteValue>;
  const base: Record<FieldName, Base[FieldName]> = {};
  for (const field of Object.keys(hub) as FieldName[])
    base[field] = { hub: hub[field] ?? null, remote: remote[field] ?? null };
  return {
    spoke: row['spoke'] as SpokeName,
    entity: row['entity'] as EntityName,
    hubId: hubId(row['hub_id'] ?? ''),
    externalId: externalId(row['external_id'] ?? ''),
    state: row['state'] as Link['state'],
    base,
    overruled: JSON.parse(row['overruled'] ?? '{}') as Record<FieldName, RemoteValue>,
    unseen: unseenIn(row['unseen']),
    version: version(row['version'] ?? ''),
    settledAt: row['settled_at'] ?? null,
    revision: row['revision'] ?? undefined,
  };
}

/** A list of names, as older versions kept it, says of none what its pair is worth. */
export function unseenIn(text: string | null | undefined): Unseen {
  const kept: unknown = JSON.parse(text ?? '{}');
  if (!Array.isArray(kept)) return kept as Unseen;
  return Object.fromEntries((kept as FieldName[]).map((name) => [name, 'assumed'] as const));
}

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

/** Links (live and tombstones) by external id, locked in id order. */
export async function lockLinks(tx: Tx, feed: Feed, ids: readonly ExternalId[]): Promise<Map<ExternalId, Link>> {
  const { rows } = await tx.query(
    `select ${columns} from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.external_id = any($3::text[])
      order by l.external_id for update`,
    [feed.spoke, feed.entity, textArray(ids)],
  );
  return new Map(rows.map((row) => [externalId(row['external_id'] ?? ''), toLink(row)]));
}

/** Takes the links' locks before those of deliveries: the one order in which the engine takes locks. Returns the live ones. */
export async function lockLinksByHub(
  tx: Tx,
  feed: Feed,
  ids: readonly HubId[],
): Promise<ReadonlyMap<HubId, ExternalId>> {
  const { rows } = await tx.query({
    name: 'link_lock_hub',
    text: `select l.hub_id, l.external_id, l.state from truespoke.link l where l.spoke = $1 and l.entity = $2 and l.hub_id = any($3::text[])
      order by l.external_id for update`,
    values: [feed.spoke, feed.entity, textArray(ids)],
  });
  const live = rows.filter((row) => row['state'] === 'live');
  return new Map(live.map((row) => [hubId(row['hub_id'] ?? ''), externalId(row['external_id'] ?? '')]));
}

/**
 * The live link of each hub record at one spoke, else its newest tombstone. Named: planning took a third of it (two ids 680 µs of CPU on both
 * sides, by name 510; fifty 1,920 and 1,380). A plan that was made while the feed was small ends with `refreshStatistics`.
 */
export async function linksByHub(db: Queryable, feed: Feed, ids: readonly HubId[]): Promise<Map<HubId, Link>> {
  const { rows } = await db.query({
    name: 'link_by_hub',
    text: `select distinct on (l.hub_id) ${columns}, l.xmin::text as revision from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.hub_id = any($3::text[]) and l.state <> 'merged'
      order by l.hub_id, (l.state = 'live') desc, l.updated_at desc, l.external_id`,
    values: [feed.spoke, feed.entity, textArray(ids)],
  });
  return new Map(rows.map((row) => [hubId(row['hub_id'] ?? ''), toLink(row)]));
}

/** Live links by external id without a lock. */
export async function linksByExternal(
  db: Queryable,
  feed: Feed,
  ids: readonly ExternalId[],
): Promise<Map<ExternalId, Link>> {
  const { rows } = await db.query(
    `select ${columns} from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.external_id = any($3::text[])`,
    [feed.spoke, feed.entity, textArray(ids)],
  );
  return new Map(rows.map((row) => [externalId(row['external_id'] ?? ''), toLink(row)]));
}

export interface LinkWrite {
  readonly hubId: HubId;
  readonly externalId: ExternalId;
  readonly state: Link['state'];
  /** Pairs to set; the others stay. */
  readonly base: Base;
  readonly version: Version;
  /** What the spoke showed where its edit lost just now. */
  readonly overruled?: Readonly<Record<string, RemoteValue>>;
  /** All that it does not show by now; left out = as before. */
  readonly unseen?: Unseen | undefined;
  /** Set when this write confirms an effect of ours. */
  readonly settledAtMs: number | null;
  /** For an embedded child: the hub record that embeds it. */
  readonly parent?: HubId | null | undefined;
}

/**
 * Makes links or moves them on: base pairs are merged in, the version never goes back. The hub id of an existing link changes
 * only through `relink`. Returns the external ids that were written: one missing is linked to another hub record already.
 */
export async function saveLinks(
  tx: Tx,
  feed: Feed,
  writes: readonly LinkWrite[],
  atMs: number,
): Promise<ReadonlySet<string>> {
  if (writes.length === 0) return new Set();
  const settledAt = ({ settledAtMs }: LinkWrite): string | null =>
    settledAtMs === null ? null : new Date(settledAtMs).toISOString();
  // Named: parsed and planned once a connection, not once a batch.
  const { rows } = await tx.query({
    name: 'link_save',
    text: `insert into truespoke.link as l
       (spoke, entity, hub_id, external_id, state, base_hub, base_remote, version, settled_at, created_at, updated_at,
        parent_id, overruled, unseen)
     select $1, $2, w.hub_id, w.external_id, w.state, w.base_hub::jsonb, w.base_remote::jsonb, w.version,
            w.settled_at::timestamptz, $10::timestamptz, $10::timestamptz, w.parent_id, w.overruled::jsonb, w.unseen::jsonb
       from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $11::text[],
                   $12::text[], $13::text[])
              as w (hub_id, external_id, state, base_hub, base_remote, version, settled_at, parent_id, overruled, unseen)
      order by w.external_id
     on conflict (spoke, entity, external_id) do update set
       state = excluded.state,
       base_hub = l.base_hub || excluded.base_hub,
       base_remote = l.base_remote || excluded.base_remote,
       overruled = case when l.overruled is null then excluded.overruled
                        else nullif((l.overruled - array(select jsonb_object_keys(excluded.base_hub)))
                                    || coalesce(excluded.overruled, '{}'), '{}') end,
       unseen = case when excluded.unseen is null then l.unseen else nullif(excluded.unseen, '{}') end,
       version = greatest(l.version, excluded.version),
       settled_at = coalesce(excluded.settled_at, l.settled_at),
       updated_at = excluded.updated_at, parent_id = coalesce(excluded.parent_id, l.parent_id)
     where l.hub_id = excluded.hub_id
     returning l.external_id`,
    values: [
      feed.spoke,
      feed.entity,
      textArray(writes.map((write) => write.hubId)),
      textArray(writes.map((write) => write.externalId)),
      textArray(writes.map((write) => write.state)),
      jsonArray(writes.map((write) => halfOf(write.base, 'hub'))),
      jsonArray(writes.map((write) => halfOf(write.base, 'remote'))),
      textArray(writes.map((write) => write.version)),
      textArray(writes.map(settledAt)),
      new Date(atMs).toISOString(),
      textArray(writes.map((write) => write.parent ?? null)),
      textArray(writes.map(({ overruled }) => (overruled === undefined ? null : JSON.stringify(overruled)))),
      textArray(writes.map(({ unseen }) => (unseen === undefined ? null : JSON.stringify(unseen)))),
    ],
  });
  return new Set(rows.map((row) => row['external_id'] ?? ''));
}

function halfOf(base: Base, half: keyof BasePair): string {
  const values: Record<string, RemoteValue> = {};
  for (const field in base) values[field] = base[field as FieldName]?.[half] ?? null;
  return JSON.stringify(values);
}

export interface Agreement {
  readonly externalId: ExternalId;
  /** Pairs whose remote half the spoke shows already; the hub's half moves, and the other one where the spoke had been overruled. */
  readonly base: Base;
}

/** Another hub value that looks the same at the spoke is agreed on without a call, if the spoke still shows that. */
export async function agreeLinks(tx: Tx, feed: Feed, rows: readonly Agreement[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  const half = (which: 'hub' | 'remote', base: Base): string =>
    JSON.stringify(Object.fromEntries(Object.entries(base).map(([field, pair]) => [field, pair[which]])));
  await tx.query(
    `update truespoke.link l set base_hub = l.base_hub || a.hub::jsonb, base_remote = l.base_remote || a.remote::jsonb,
            overruled = nullif(l.overruled - array(select jsonb_object_keys(a.remote::jsonb)), '{}'), updated_at = $6::timestamptz
       from unnest($3::text[], $4::text[], $5::text[]) a (external_id, hub, remote)
      where l.spoke = $1 and l.entity = $2 and l.external_id = a.external_id and l.state = 'live'
        and not exists (select 1 from jsonb_each(a.remote::jsonb) e where coalesce(l.overruled -> e.key, l.base_remote -> e.key) is distinct from e.value)`,
    [
      feed.spoke,
      feed.entity,
      rows.map((row) => row.externalId),
      rows.map((row) => half('hub', row.base)),
      rows.map((row) => half('remote', row.base)),
      new Date(atMs).toISOString(),
    ],
  );
}

export interface LinkedChild {
  readonly hubId: HubId;
  readonly externalId: ExternalId;
}

/** Live links of the children that these records embed, by parent. */
export async function linkedChildren(
  db: Queryable,
  feed: Feed,
  parents: readonly HubId[],
): Promise<ReadonlyMap<HubId, readonly LinkedChild[]>> {
  const found = new Map<HubId, LinkedChild[]>();
  if (parents.length === 0) return found;
  const { rows } = await db.query(
    `select parent_id, hub_id, external_id from truespoke.link
      where spoke = $1 and entity = $2 and parent_id = any($3::text[]) and state = 'live' order by external_id`,
    [feed.spoke, feed.entity, parents],
  );
  for (const row of rows) {
    const parent = hubId(row['parent_id'] ?? '');
    const child = { hubId: hubId(row['hub_id'] ?? ''), externalId: externalId(row['external_id'] ?? '') };
    const list = found.get(parent);
    if (list === undefined) found.set(parent, [child]);
    else list.push(child);
  }
  return found;
}

/** A parent's complete list was sent: its other children are gone there, and those in it are linked as it shows them. */
export async function buryChildren(
  tx: Tx,
  feed: Feed,
  list: {
    readonly parent: HubId;
    readonly keep: readonly { readonly hubId: HubId; readonly externalId: ExternalId }[];
  },
  atMs: number,
): Promise<void> {
  await tx.query(
    `update truespoke.link l set state = 'tombstone', updated_at = $6::timestamptz
      where l.spoke = $1 and l.entity = $2 and l.state = 'live' and (l.parent_id = $3 or l.hub_id = any($4::text[]))
        and not exists (select 1 from unnest($4::text[], $5::text[]) k (hub_id, external_id)
                         where k.hub_id = l.hub_id and k.external_id = l.external_id)`,
    [
      feed.spoke,
      feed.entity,
      list.parent,
      list.keep.map((one) => one.hubId),
      list.keep.map((one) => one.externalId),
      new Date(atMs).toISOString(),
    ],
  );
}

/**
 * Keeps the proof of a deletion. `versions`: what the remote stamped it with, same order; a read that lags behind is then known to be
 * older than the deletion (law 4).
 */
export async function buryLinks(
  tx: Tx,
  feed: Feed,
  ids: readonly ExternalId[],
  atMs: number,
  versions: readonly Version[] = [],
): Promise<void> {
  if (ids.length === 0) return;
  await tx.query(
    `update truespoke.link l set state = 'tombstone', updated_at = $4::timestamptz, version = greatest(l.version, coalesce(b.version, ''))
       from unnest($3::text[], $5::text[]) b (external_id, version)
      where l.spoke = $1 and l.entity = $2 and l.external_id = b.external_id and l.state = 'live'`,
    [feed.spoke, feed.entity, ids, new Date(atMs).toISOString(), versions],
  );
}

/** The record lives on under another external id (a merge inside the spoke). */
export async function relink(
  tx: Tx,
  feed: Feed,
  moves: readonly { readonly from: ExternalId; readonly to: ExternalId }[],
  atMs: number,
): Promise<void> {
  if (moves.length === 0) return;
  await tx.query(
    `update truespoke.link l set external_id = m.new_id, version = '', updated_at = $5::timestamptz
       from unnest($3::text[], $4::text[]) m (old_id, new_id)
      where l.spoke = $1 and l.entity = $2 and l.external_id = m.old_id
        and not exists (select 1 from truespoke.link t
                         where t.spoke = $1 and t.entity = $2 and t.external_id = m.new_id)`,
    [
      feed.spoke,
      feed.entity,
      moves.map((move) => move.from),
      moves.map((move) => move.to),
      new Date(atMs).toISOString(),
    ],
  );
}

/** A record that was set aside takes the place of the one that was merged into it. What it shows is looked at anew. */
export async function wakeMerged(tx: Tx, feed: Feed, id: ExternalId, atMs: number): Promise<void> {
  await tx.query(
    `update truespoke.link set state = 'live', base_hub = '{}', base_remote = '{}', overruled = null, unseen = null, version = '',
            updated_at = $4::timestamptz
      where spoke = $1 and entity = $2 and external_id = $3 and state = 'merged'`,
    [feed.spoke, feed.entity, id, new Date(atMs).toISOString()],
  );
}

/** The primary key of a hub row changed: its links follow (F52). */
export async function rekeyLinks(tx: Tx, entity: EntityName, from: HubId, to: HubId): Promise<void> {
  await tx.query(`update truespoke.link set hub_id = $3 where entity = $1 and hub_id = $2`, [entity, from, to]);
}

/** Live links of references in either direction, for a whole batch. */
export async function resolveExternal(
  db: Queryable,
  spoke: SpokeName,
  refs: readonly { readonly entity: EntityName; readonly externalId: ExternalId }[],
): Promise<Map<string, HubId>> {
  if (refs.length === 0) return new Map();
  const { rows } = await db.query(
    `select l.entity, l.external_id, l.hub_id
       from unnest($2::text[], $3::text[]) r (entity, external_id)
       join truespoke.link l on l.spoke = $1 and l.entity = r.entity and l.external_id = r.external_id and l.state = 'live'`,
    [spoke, refs.map((ref) => ref.entity), refs.map((ref) => ref.externalId)],
  );
  return new Map(
    rows.map((row) => [refKey(row['entity'] ?? '', row['external_id'] ?? ''), hubId(row['hub_id'] ?? '')]),
  );
}

export async function resolveHub(
  db: Queryable,
  spoke: SpokeName,
  refs: readonly { readonly entity: EntityName; readonly hubId: HubId }[],
): Promise<Map<string, ExternalId>> {
  if (refs.length === 0) return new Map();
  const { rows } = await db.query(
    `select l.entity, l.external_id, l.hub_id
       from unnest($2::text[], $3::text[]) r (entity, hub_id)
       join truespoke.link l on l.spoke = $1 and l.entity = r.entity and l.hub_id = r.hub_id and l.state = 'live'`,
    [spoke, refs.map((ref) => ref.entity), refs.map((ref) => ref.hubId)],
  );
  return new Map(
    rows.map((row) => [refKey(row['entity'] ?? '', row['hub_id'] ?? ''), externalId(row['external_id'] ?? '')]),
  );
}

export const refKey = (entity: string, id: string): string => `${entity}/${id}`;

/** Live links of a feed, for the mass-deletion breaker. */
export async function countLive(db: Queryable, feed: Feed): Promise<number> {
  const { rows } = await db.query(
    `select count(*)::text as n from truespoke.link where spoke = $1 and entity = $2 and state = 'live'`,
    [feed.spoke, feed.entity],
  );
  return Number(rows[0]?.['n'] ?? 0);
}

/** How many were live since then: those that still are, and those that went meanwhile. */
export async function countLiveSince(db: Queryable, feed: Feed, sinceMs: number): Promise<number> {
  const { rows } = await db.query(
    `select count(*)::text as n from truespoke.link
      where spoke = $1 and entity = $2 and (state = 'live' or (state = 'tombstone' and updated_at > $3::timestamptz))`,
    [feed.spoke, feed.entity, new Date(sinceMs).toISOString()],
  );
  return Number(rows[0]?.['n'] ?? 0);
}
