// Owns truespoke.reconcile_run and truespoke.drift.
import { storableJson } from '../base/storable.js';
import {
  externalId,
  type EntityName,
  type ExternalId,
  type HubId,
  type ObjectName,
  type SpokeName,
} from '../model/ids.js';
import type { Link } from '../model/link.js';
import { linksByExternal } from './links.js';
import type { Queryable, Tx } from './pool.js';

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

export interface DriftRow extends Feed {
  readonly hubId: HubId | null;
  readonly externalId: ExternalId | null;
  readonly field: string | null;
  readonly class: string;
  readonly action: string;
  readonly base: unknown;
  readonly remote: unknown;
}

export async function startRun(db: Queryable, feed: Feed, kind: 'hub' | 'remote', atMs: number): Promise<string> {
  const { rows } = await db.query(
    `insert into truespoke.reconcile_run (spoke, entity, kind, started_at) values ($1, $2, $3, $4::timestamptz) returning id`,
    [feed.spoke, feed.entity, kind, new Date(atMs).toISOString()],
  );
  return rows[0]?.['id'] ?? '';
}

/** An unfinished remote run of this feed, for going on after a crash (F20). */
export async function openRun(
  db: Queryable,
  feed: Feed,
): Promise<{ readonly id: string; readonly lastKey: string | null } | null> {
  const { rows } = await db.query(
    `select id, last_key from truespoke.reconcile_run
      where spoke = $1 and entity = $2 and kind = 'remote' and finished_at is null
      order by id desc limit 1`,
    [feed.spoke, feed.entity],
  );
  const [row] = rows;
  return row === undefined ? null : { id: row['id'] ?? '', lastKey: row['last_key'] ?? null };
}

export interface RunProgress {
  readonly compared: number;
  readonly drifted: number;
  readonly lastKey: string | null;
  readonly finishedAtMs: number | null;
}

export async function saveRun(tx: Queryable, id: string, progress: RunProgress): Promise<void> {
  await tx.query(
    `update truespoke.reconcile_run set compared = compared + $2, drifted = drifted + $3, last_key = coalesce($4, last_key),
            finished_at = $5::timestamptz where id = $1`,
    [
      id,
      progress.compared,
      progress.drifted,
      progress.lastKey,
      progress.finishedAtMs === null ? null : new Date(progress.finishedAtMs).toISOString(),
    ],
  );
}

/** Records what differs; what is open already stays one row. */
export async function saveDrift(tx: Tx, run: string, rows: readonly DriftRow[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `insert into truespoke.drift (run, spoke, entity, hub_id, external_id, field, class, base, remote, found_at, action, state)
     select $1::bigint, d.spoke, d.entity, d.hub_id, d.external_id, d.field, d.class, d.base::jsonb, d.remote::jsonb,
            $11::timestamptz, d.action, 'open'
       from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
              as d (spoke, entity, hub_id, external_id, field, class, base, remote, action)
     on conflict (spoke, entity, coalesce(hub_id, ''), coalesce(external_id, ''), coalesce(field, '')) where state = 'open'
     do update set run = excluded.run, class = excluded.class, remote = excluded.remote, action = excluded.action`,
    [
      run,
      rows.map((row) => row.spoke),
      rows.map((row) => row.entity),
      rows.map((row) => row.hubId),
      rows.map((row) => row.externalId),
      rows.map((row) => row.field),
      rows.map((row) => row.class),
      rows.map((row) => JSON.stringify(row.base ?? null)),
      rows.map((row) => storableJson(row.remote ?? null)),
      rows.map((row) => row.action),
      new Date(atMs).toISOString(),
    ],
  );
}

/** These records were compared and agree: what was open about them is repaired. Returns how many. */
export async function closeDrift(
  tx: Queryable,
  feed: Feed,
  agreed: { readonly hubIds: readonly HubId[]; readonly externalIds: readonly ExternalId[] },
  atMs: number,
): Promise<number> {
  const { rowCount } = await tx.query(
    `update truespoke.drift set state = 'repaired', repaired_at = $5::timestamptz
      where state = 'open' and spoke = $1 and entity = $2
        and (hub_id = any($3::text[]) or (hub_id is null and external_id = any($4::text[])))`,
    [feed.spoke, feed.entity, agreed.hubIds, agreed.externalIds, new Date(atMs).toISOString()],
  );
  return rowCount ?? 0;
}

/**
 * Findings of earlier sweeps that this one, now complete, did not make again and that nothing under way will settle: they are repaired, or
 * their record is gone from both sides. Returns how many.
 */
export async function closeVanished(db: Queryable, feed: Feed, runs: readonly string[], atMs: number): Promise<number> {
  const { rowCount } = await db.query(
    `update truespoke.drift f set state = 'repaired', repaired_at = $4::timestamptz
      where f.state = 'open' and f.spoke = $1 and f.entity = $2 and f.run <> all($3::bigint[])
        and not exists (select 1 from truespoke.delivery d
                         where d.spoke = f.spoke and d.entity = f.entity and d.hub_id = f.hub_id)
        and not exists (select 1 from truespoke.parked p
                         where p.spoke = f.spoke and p.entity = f.entity and p.key in (f.hub_id, f.external_id)
                           and p.state in ('open', 'waiting'))
        and not exists (select 1 from truespoke.inbox i
                         where i.spoke = f.spoke and i.external_id = f.external_id and i.done_at is null)`,
    [feed.spoke, feed.entity, runs, new Date(atMs).toISOString()],
  );
  return rowCount ?? 0;
}

/** Where the hub's WAL stands now. */
export async function writtenLsn(db: Queryable): Promise<string> {
  const { rows } = await db.query(`select pg_current_wal_insert_lsn()::text as lsn`);
  return rows[0]?.['lsn'] ?? '0/0';
}

/** Has everything committed before this position been captured? False as well where nobody captures. */
export async function isCaptured(db: Queryable, lsn: string): Promise<boolean> {
  const { rows } = await db.query(`select 1 as yes from truespoke.position where durable_lsn >= $1::pg_lsn limit 1`, [
    lsn,
  ]);
  return rows.length > 0;
}

/** Live links in external-id order, a page at a time. */
export async function pageLinks(
  db: Queryable,
  feed: Feed,
  after: string | null,
  rows: number,
): Promise<readonly Link[]> {
  const result = await db.query(
    `select external_id from truespoke.link
      where spoke = $1 and entity = $2 and state = 'live' and ($3::text is null or external_id > $3) order by external_id limit $4`,
    [feed.spoke, feed.entity, after, rows],
  );
  const ids = result.rows.map((row) => externalId(row['external_id'] ?? ''));
  const links = await linksByExternal(db, feed, ids);
  return ids.map((id) => links.get(id)).filter((link) => link !== undefined);
}

/**
 * Records with something on its way or parked, or about to be read: what differs about them is explained. An edit made within the stamp that
 * we know looks like damage, until inbound has read what it was told of.
 */
export async function explained(
  db: Queryable,
  feed: Feed,
  object: ObjectName,
  links: readonly Link[],
): Promise<ReadonlySet<string>> {
  const { rows } = await db.query(
    `select d.hub_id from truespoke.delivery d where d.spoke = $1 and d.entity = $2 and d.hub_id = any($3::text[])
      union select p.key from truespoke.parked p where p.spoke = $1 and p.entity = $2 and p.direction = 'out'
             and p.state in ('open', 'waiting') and p.key = any($3::text[])
      union select l.hub_id from truespoke.parked p
              join truespoke.link l on l.spoke = p.spoke and l.entity = p.entity and l.external_id = p.key
             where p.spoke = $1 and p.entity = $2 and p.direction = 'in' and p.state in ('open', 'waiting')
               and l.hub_id = any($3::text[])
      union select l.hub_id from unnest($3::text[], $4::text[]) as l (hub_id, external_id)
              join truespoke.inbox i on i.external_id = l.external_id
             where i.spoke = $1 and i.object = $5 and i.done_at is null and not i.compliance`,
    [feed.spoke, feed.entity, links.map((link) => link.hubId), links.map((link) => link.externalId), object],
  );
  return new Set(rows.map((row) => row['hub_id'] ?? ''));
}

export interface DriftView extends DriftRow {
  readonly foundAt: string;
  readonly state: string;
  readonly repairedAt: string | null;
}

export async function listDrift(
  db: Queryable,
  filter: { readonly state?: string | undefined; readonly limit: number },
): Promise<readonly DriftView[]> {
  const { rows } = await db.query(
    `select spoke, entity, hub_id, external_id, field, class, action, base, remote, found_at, state, repaired_at
       from truespoke.drift where $1::text is null or state = $1 order by id desc limit $2`,
    [filter.state ?? null, filter.limit],
  );
  return rows.map((row) => ({
    spoke: row['spoke'] as SpokeName,
    entity: row['entity'] as EntityName,
    hubId: row['hub_id'] as HubId | null,
    externalId: row['external_id'] as ExternalId | null,
    field: row['field'] ?? null,
    class: row['class'] ?? '',
    action: row['action'] ?? '',
    base: JSON.parse(row['base'] ?? 'null') as unknown,
    remote: JSON.parse(row['remote'] ?? 'null') as unknown,
    foundAt: row['found_at'] ?? '',
    state: row['state'] ?? '',
    repairedAt: row['repaired_at'] ?? null,
  }));
}

/** Differences of one spoke that are neither repaired nor explained yet. */
export async function countOpenDrift(db: Queryable, spoke: SpokeName): Promise<number> {
  const { rows } = await db.query(`select count(*) as count from truespoke.drift where spoke = $1 and state = 'open'`, [
    spoke,
  ]);
  return Number(rows[0]?.['count'] ?? 0);
}
