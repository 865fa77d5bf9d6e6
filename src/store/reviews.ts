// Owns listing and deciding truespoke.review: what waits for a person. Opening one belongs to whoever found it (conflicts.ts).
import type { EntityName, HubId, SpokeName } from '../model/ids.js';
import { outboundDeletions, type Review } from './conflicts.js';
import type { Queryable, Row, Tx } from './pool.js';

export interface OpenReview {
  readonly id: string;
  readonly kind: Review['kind'];
  /** null: it concerns every spoke of the entity. */
  readonly spoke: SpokeName | null;
  readonly entity: EntityName;
  /** External id, hub id, LSN of the source transaction, or why a whole entity was compared; by kind. */
  readonly key: string;
  /** How many records it is about, where it is about many. */
  readonly records: number | null;
  readonly openedAt: string;
}

const columns = `id, kind, spoke, entity, key, evidence ->> 'records' as records, opened_at`;

function toReview(row: Row): OpenReview {
  const records = row['records'] ?? null;
  return {
    id: row['id'] ?? '',
    kind: row['kind'] as Review['kind'],
    spoke: (row['spoke'] ?? null) as SpokeName | null,
    entity: row['entity'] as EntityName,
    key: row['key'] ?? '',
    records: records === null || !/^\d+$/.test(records) ? null : Number(records),
    openedAt: row['opened_at'] ?? '',
  };
}

export async function listReviews(
  db: Queryable,
  filter: { readonly ids?: readonly string[] | undefined; readonly limit: number },
): Promise<readonly OpenReview[]> {
  const { rows } = await db.query(
    `select ${columns} from truespoke.review
      where state = 'open' and ($1::bigint[] is null or id = any($1)) order by id limit $2`,
    [filter.ids ?? null, filter.limit],
  );
  return rows.map(toReview);
}

export interface ReviewEvidence extends OpenReview {
  /** What it was opened with: records as they were shown, ids of candidates; by kind. */
  readonly evidence: unknown;
}

/** An open review with all that is known of it; null when it was decided or never was. */
export async function readReview(db: Queryable, id: string): Promise<ReviewEvidence | null> {
  const { rows } = await db.query(
    `select ${columns}, evidence from truespoke.review where id = $1::bigint and state = 'open'`,
    [id],
  );
  const [row] = rows;
  return row === undefined ? null : { ...toReview(row), evidence: JSON.parse(row['evidence'] ?? '{}') as unknown };
}

/** Hub records that a person has said are new at the spoke, whatever they have in common with others there. */
export async function decidedNew(
  db: Queryable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  ids: readonly HubId[],
): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query(
    `select key from truespoke.review
      where state = 'decided' and kind in ('ambiguous', 'duplicate') and spoke = $1 and entity = $2 and key = any($3::text[])
        and decision ->> 'new' = 'true'`,
    [feed.spoke, feed.entity, ids],
  );
  return new Set(rows.map((row) => row['key'] ?? ''));
}

export async function countReviews(db: Queryable): Promise<number> {
  const { rows } = await db.query(`select count(*) as open from truespoke.review where state = 'open'`);
  return Number(rows[0]?.['open']);
}

/** Was a table of this entity emptied without a person having said what it means? */
export async function hasOpenTruncate(db: Queryable, entity: EntityName): Promise<boolean> {
  const { rows } = await db.query(
    `select 1 from truespoke.review where state = 'open' and kind = 'truncate' and entity = $1 limit 1`,
    [entity],
  );
  return rows.length > 0;
}

/** Closes one with what was decided. False: it was closed already. */
export async function decideReview(tx: Tx, id: string, decision: unknown, atMs: number): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update truespoke.review set state = 'decided', decided_at = $2::timestamptz, decision = $3::jsonb
      where id = $1::bigint and state = 'open'`,
    [id, new Date(atMs).toISOString(), JSON.stringify(decision)],
  );
  return rowCount === 1;
}

/** When a person last approved deletions of the hub for this spoke; null: never. */
export async function approvedAtMs(
  db: Queryable,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
): Promise<number | null> {
  const { rows } = await db.query(
    `select max(decided_at) as at from truespoke.review
      where kind = 'mass_delete' and spoke = $1 and entity = $2 and key = $3 and decision ->> 'approved' = 'true'`,
    [feed.spoke, feed.entity, outboundDeletions],
  );
  const at = rows[0]?.['at'] ?? null;
  return at === null ? null : Date.parse(at);
}

/** Which held deletions go on their way. */
export interface HeldDeletions {
  readonly entity: EntityName;
  /** null: at every spoke. */
  readonly spoke: SpokeName | null;
  /** Why they were held; null: for whatever reason no other open question asks about. */
  readonly reason: 'mass_delete' | 'deleted_unseen' | null;
}

/** A person approved: what was held for this reason goes on its way. Returns how many. */
export async function releaseHeld(tx: Tx, which: HeldDeletions): Promise<number> {
  const { rowCount } = await tx.query(
    `update truespoke.delivery d set state = 'pending', reason = null, not_before = null
      where d.state = 'held' and d.entity = $1 and ($2::text is null or d.spoke = $2)
        and (d.reason = $3
             -- Nothing but this review can have meant the others.
             or not exists (select 1 from truespoke.review r
                             where r.state = 'open' and r.kind in ('mass_delete', 'truncate') and r.entity = $1
                               and (r.spoke is null or r.spoke = d.spoke))
             or ($3 is null and coalesce(d.reason, '') not in ('mass_delete', 'deleted_unseen')))`,
    [which.entity, which.spoke, which.reason],
  );
  return rowCount ?? 0;
}

/** Parked deletions that came from a spoke, all at once, and wait for the same approval. */
export async function heldAtSpoke(
  tx: Tx,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
): Promise<readonly string[]> {
  const { rows } = await tx.query(
    `select id from truespoke.parked
      where state = 'open' and direction = 'in' and spoke = $1 and entity = $2 and code = 'mass_delete_held' order by id`,
    [feed.spoke, feed.entity],
  );
  return rows.map((row) => row['id'] ?? '');
}

/**
 * Which of these deletions a person has approved: parked as part of a mass deletion, and replayed since. Each approval holds once.
 */
export async function takeApprovals(
  tx: Tx,
  feed: { readonly spoke: SpokeName; readonly entity: EntityName },
  keys: readonly string[],
): Promise<ReadonlySet<string>> {
  if (keys.length === 0) return new Set();
  const { rows } = await tx.query(
    `update truespoke.parked set state = 'resolved'
      where state = 'replayed' and direction = 'in' and spoke = $1 and entity = $2 and code = 'mass_delete_held'
        and key = any($3::text[]) returning key`,
    [feed.spoke, feed.entity, keys],
  );
  return new Set(rows.map((row) => row['key'] ?? ''));
}
