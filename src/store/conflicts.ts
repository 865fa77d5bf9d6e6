// Owns truespoke.conflict and truespoke.review: what two sides disagreed about, and what a person must decide.
import { storableJson } from '../base/storable.js';
import type { EntityName, FieldName, HubId, SpokeName } from '../model/ids.js';
import type { HubValue, RemoteValue } from '../model/record.js';
import { textArray } from './copy.js';
import type { Queryable, Tx } from './pool.js';

export interface ConflictRow {
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly field: string;
  readonly spoke: SpokeName;
  readonly base: HubValue;
  readonly hub: HubValue;
  readonly spokeValue: HubValue;
  readonly remote: RemoteValue;
  readonly policy: string;
  readonly winner: 'hub' | 'spoke' | 'both' | 'open';
  readonly hubAtMs: number | null;
  readonly spokeAtMs: number | null;
  readonly trace: string | null;
}

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

/**
 * Keeps both values of each conflict; the same disagreement seen again is kept once. One that a person must decide about, and that comes
 * back after it was decided, is open again: else it would be held back with nobody knowing.
 */
export async function insertConflicts(tx: Tx, rows: readonly ConflictRow[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `insert into truespoke.conflict as c
       (at, entity, hub_id, field, spoke, base, hub_value, spoke_value, remote, policy, winner, hub_at, spoke_at, trace, state)
     select distinct on (r.entity, r.hub_id, r.field, r.spoke, r.base, r.hub_value, r.spoke_value)
            $14::timestamptz, r.entity, r.hub_id, r.field, r.spoke, r.base, r.hub_value, r.spoke_value, r.remote::jsonb,
            r.policy, r.winner, r.hub_at::timestamptz, r.spoke_at::timestamptz, r.trace,
            case when r.winner = 'open' then 'open' else 'decided' end
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                   $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
              as r (entity, hub_id, field, spoke, base, hub_value, spoke_value, remote, policy, winner, hub_at, spoke_at, trace)
      order by r.entity, r.hub_id, r.field, r.spoke, r.base, r.hub_value, r.spoke_value, r.winner <> 'open'
     on conflict (entity, hub_id, field, spoke, md5(coalesce(hub_value, '~') || '|' || coalesce(spoke_value, '~') || '|' || coalesce(base, '~')))
     do update set state = 'open', winner = 'open', policy = excluded.policy, at = excluded.at, remote = excluded.remote,
                   hub_at = excluded.hub_at, spoke_at = excluded.spoke_at, trace = excluded.trace
     where excluded.state = 'open' and c.state <> 'open'`,
    [
      rows.map((row) => row.entity),
      rows.map((row) => row.hubId),
      rows.map((row) => row.field),
      rows.map((row) => row.spoke),
      rows.map((row) => row.base),
      rows.map((row) => row.hub),
      rows.map((row) => row.spokeValue),
      rows.map((row) => storableJson(row.remote)),
      rows.map((row) => row.policy),
      rows.map((row) => row.winner),
      rows.map((row) => iso(row.hubAtMs)),
      rows.map((row) => iso(row.spokeAtMs)),
      rows.map((row) => row.trace),
      iso(atMs),
    ],
  );
}

/** Fields that wait for a person: nothing of them is pushed until then. */
export async function openConflictFields(
  db: Queryable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  ids: readonly HubId[],
): Promise<Map<HubId, ReadonlySet<string>>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'conflict_open',
    text: `select hub_id, string_agg(field, chr(31)) as fields from truespoke.conflict
      where state = 'open' and entity = $2 and spoke = $1 and hub_id = any($3::text[]) group by hub_id`,
    values: [feed.spoke, feed.entity, textArray(ids)],
  });
  return new Map(rows.map((row) => [row['hub_id'] as HubId, new Set((row['fields'] ?? '').split('\u001f'))]));
}

export interface Review {
  readonly kind: 'ambiguous' | 'duplicate' | 'mass_delete' | 'truncate' | 'merged' | 'compliance';
  readonly spoke: SpokeName | null;
  readonly entity: EntityName;
  readonly key: string;
  readonly evidence: unknown;
}

/** Key of the question about deletions of the hub; those of a spoke have their entity's name. */
export const outboundDeletions = 'hub';

/** Opens questions for a person; one that is open already stays as it is, with the newer evidence. */
export async function openReviews(tx: Tx, rows: readonly Review[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `insert into truespoke.review (kind, spoke, entity, key, evidence, state, opened_at)
     select r.kind, r.spoke, r.entity, r.key, r.evidence::jsonb, 'open', $6::timestamptz
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) as r (kind, spoke, entity, key, evidence)
     on conflict (kind, coalesce(spoke, ''), entity, key) where state = 'open' do update set evidence = excluded.evidence`,
    [
      rows.map((row) => row.kind),
      rows.map((row) => row.spoke),
      rows.map((row) => row.entity),
      rows.map((row) => row.key),
      rows.map((row) => storableJson(row.evidence)),
      iso(atMs),
    ],
  );
}

export async function closeReviews(
  tx: Tx,
  which: {
    readonly kinds: readonly Review['kind'][];
    readonly spoke: SpokeName;
    readonly entity: EntityName;
    readonly keys: readonly string[];
  },
  atMs: number,
): Promise<void> {
  if (which.keys.length === 0) return;
  await tx.query(
    `update truespoke.review set state = 'decided', decided_at = $5::timestamptz
      where state = 'open' and kind = any($1::text[]) and spoke = $2 and entity = $3 and key = any($4::text[])`,
    [which.kinds, which.spoke, which.entity, textArray(which.keys), iso(atMs)],
  );
}

export interface OpenConflict {
  readonly id: string;
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly spoke: SpokeName;
  readonly field: FieldName;
  readonly hubValue: HubValue;
  readonly spokeValue: HubValue;
  readonly remote: RemoteValue;
}

/** The open conflict with this id, locked; null when it was decided or never was. */
export async function lockConflict(tx: Tx, id: string): Promise<OpenConflict | null> {
  const { rows } = await tx.query(
    `select id, entity, hub_id, spoke, field, hub_value, spoke_value, remote from truespoke.conflict
      where id = $1::bigint and state = 'open' for update`,
    [id],
  );
  const [row] = rows;
  if (row === undefined) return null;
  return {
    id,
    entity: row['entity'] as EntityName,
    hubId: row['hub_id'] as HubId,
    spoke: row['spoke'] as SpokeName,
    field: row['field'] as FieldName,
    hubValue: row['hub_value'] ?? null,
    spokeValue: row['spoke_value'] ?? null,
    remote: JSON.parse(row['remote'] ?? 'null') as RemoteValue,
  };
}

export async function closeConflict(
  tx: Tx,
  id: string,
  winner: 'hub' | 'spoke',
  by: string,
  atMs: number,
): Promise<void> {
  await tx.query(
    `update truespoke.conflict set state = 'resolved', winner = $2, decided_by = $3, decided_at = $4::timestamptz
      where id = $1::bigint`,
    [id, winner, by, iso(atMs)],
  );
}

/** The record is gone: nobody has to decide about it any more. Both values stay in the log. */
export async function closeConflictsOf(
  tx: Tx,
  record: { readonly entity: EntityName; readonly hubId: HubId },
  by: string,
  atMs: number,
): Promise<void> {
  await tx.query(
    `update truespoke.conflict set state = 'resolved', winner = 'hub', decided_by = $3, decided_at = $4::timestamptz
      where state = 'open' and entity = $1 and hub_id = $2`,
    [record.entity, record.hubId, by, iso(atMs)],
  );
}

/** Whether a record stands for itself at a spoke is no question any more once it is gone. */
export async function closeReviewsOf(
  tx: Tx,
  record: { readonly entity: EntityName; readonly hubId: HubId },
  atMs: number,
): Promise<void> {
  await tx.query(
    `update truespoke.review set state = 'decided', decided_at = $3::timestamptz
      where state = 'open' and kind in ('ambiguous', 'duplicate') and entity = $1 and key = $2`,
    [record.entity, record.hubId, iso(atMs)],
  );
}
