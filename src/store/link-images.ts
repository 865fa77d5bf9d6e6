// Owns the cheap look at links: what each spoke last showed, without locks and without the hub's half. For telling apart what is
// unchanged before anything is locked; whoever means to write reads the links again under their locks.
import type { EntityName, ExternalId, FieldName, HubId, SpokeName, Version } from '../model/ids.js';
import { settledKey } from '../model/link.js';
import type { RemoteValue } from '../model/record.js';
import { textArray } from './copy.js';
import { unseenIn } from './links.js';
import type { Queryable } from './pool.js';

export interface LinkImage {
  readonly version: Version;
  /** Field → what the spoke showed when both sides last agreed. */
  readonly remote: Readonly<Record<FieldName, RemoteValue>>;
  /** It did not show some field then. */
  readonly partly: boolean;
}

/** Live links by external id, those left out that have a write of ours under way. */
export async function settledImages(
  db: Queryable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  ids: readonly ExternalId[],
): Promise<Map<ExternalId, LinkImage>> {
  // Not named, and no word of the state: a plan kept from when the table was small, or one over the index of live links, reads the whole
  // feed for each batch (seen: 400 ms a batch instead of 3).
  const { rows } = await db.query(
    `select l.external_id, l.state, l.version, l.base_remote, (l.unseen is not null)::text as partly from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.external_id = any($3::text[])
        and not exists (select 1 from truespoke.delivery d
                         where d.spoke = $1 and d.entity = $2 and d.hub_id = l.hub_id and d.state in ('sent', 'unknown'))`,
    [feed.spoke, feed.entity, textArray(ids)],
  );
  const live = rows.filter((row) => row['state'] === 'live');
  return new Map(
    live.map((row) => [
      row['external_id'] as ExternalId,
      {
        version: row['version'] as Version,
        remote: JSON.parse(row['base_remote'] ?? '{}') as LinkImage['remote'],
        partly: row['partly'] === 'true',
      },
    ]),
  );
}

export interface Unseen {
  readonly externalId: ExternalId;
  readonly hubId: HubId;
  readonly fields: readonly FieldName[];
}

/** Live links whose records did not show every field when they were last looked at, by external id. */
export async function pageUnseen(
  db: Queryable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  after: ExternalId | null,
  rows: number,
): Promise<readonly Unseen[]> {
  const result = await db.query({
    name: 'link_unseen',
    text: `select l.external_id, l.hub_id, l.unseen from truespoke.link l
      where l.spoke = $1 and l.entity = $2 and l.unseen is not null and l.state = 'live' and l.external_id > $3
      order by l.external_id limit $4`,
    values: [feed.spoke, feed.entity, after ?? '', rows],
  });
  return result.rows.map((row) => ({
    externalId: row['external_id'] as ExternalId,
    hubId: row['hub_id'] as HubId,
    fields: Object.keys(unseenIn(row['unseen'])) as FieldName[],
  }));
}

/** Which of these records were known to exist at or after `sinceMs`: read, or written to with an answer. */
export async function knownSince(
  db: Queryable,
  spoke: SpokeName,
  entities: readonly EntityName[],
  ids: readonly ExternalId[],
  sinceMs: number,
): Promise<ReadonlySet<ExternalId>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query({
    name: 'link_known_since',
    text: `select l.external_id from truespoke.link l
      where l.spoke = $1 and l.entity = any($2::text[]) and l.external_id = any($3::text[]) and l.state = 'live'
        and l.updated_at >= $4::timestamptz`,
    values: [spoke, textArray(entities), textArray(ids), new Date(sinceMs).toISOString()],
  });
  return new Set(rows.map((row) => row['external_id'] as ExternalId));
}

/** When a write of ours to each of these records was last confirmed, by `settledKey`: any change of it tells that there was one since. */
export async function settledMarks(
  db: Queryable,
  spoke: SpokeName,
  entities: readonly EntityName[],
  ids: readonly ExternalId[],
): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await db.query({
    name: 'link_settled_marks',
    text: `select l.entity, l.external_id, l.settled_at from truespoke.link l
      where l.spoke = $1 and l.entity = any($2::text[]) and l.external_id = any($3::text[])`,
    values: [spoke, textArray(entities), textArray(ids)],
  });
  return new Map(
    rows.map((row) => [
      settledKey(row['entity'] as EntityName, row['external_id'] as ExternalId),
      row['settled_at'] ?? null,
    ]),
  );
}
