// Owns truespoke.inbox: verified webhooks and other hints. Stored before the 2xx, deduped on (spoke, event id), done with the effect. Among
// what is done stands also what was told of records that were deleted before anybody knew them.
import { version, type ExternalId, type ObjectName, type SpokeName, type Version } from '../model/ids.js';
import type { Queryable, Tx } from './pool.js';

export interface InboxEvent {
  readonly eventId: string;
  readonly topic: string;
  readonly object: ObjectName | null;
  readonly externalId: ExternalId | null;
  readonly deleted: boolean;
  readonly compliance: boolean;
  readonly body: string | null;
  readonly notBeforeMs: number | null;
}

/** Stores events; one seen before is dropped. Returns how many were new. */
export async function storeEvents(
  db: Queryable,
  spoke: SpokeName,
  events: readonly InboxEvent[],
  atMs: number,
): Promise<number> {
  if (events.length === 0) return 0;
  const { rowCount } = await db.query({
    name: 'inbox_store',
    text: `insert into truespoke.inbox (spoke, event_id, topic, object, external_id, deleted, compliance, body, received_at, not_before)
     select $1, e.event_id, e.topic, e.object, e.external_id, e.deleted, e.compliance, e.body, $10::timestamptz, e.not_before::timestamptz
       from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::boolean[], $8::text[], $9::text[])
              as e (event_id, topic, object, external_id, deleted, compliance, body, not_before)
     on conflict (spoke, event_id) do nothing`,
    values: [
      spoke,
      events.map((event) => event.eventId),
      events.map((event) => event.topic),
      events.map((event) => event.object),
      events.map((event) => event.externalId),
      events.map((event) => event.deleted),
      events.map((event) => event.compliance),
      events.map((event) => event.body),
      events.map((event) => (event.notBeforeMs === null ? null : new Date(event.notBeforeMs).toISOString())),
      new Date(atMs).toISOString(),
    ],
  });
  return rowCount ?? 0;
}

const goneId = (object: ObjectName, id: ExternalId): string => `gone:${object}:${id}`;

/** Keeps word of records that were deleted before we knew them, as long as finished events are kept. The ids must be distinct. */
export async function rememberGone(
  tx: Tx,
  spoke: SpokeName,
  object: ObjectName,
  gone: readonly { readonly externalId: ExternalId; readonly version: Version }[],
  atMs: number,
): Promise<void> {
  if (gone.length === 0) return;
  await tx.query({
    name: 'inbox_gone',
    text: `insert into truespoke.inbox as i (spoke, event_id, topic, object, external_id, deleted, body, received_at, done_at)
     select $1, g.event_id, 'gone', $2, g.external_id, true, g.version, $6::timestamptz, $6::timestamptz
       from unnest($3::text[], $4::text[], $5::text[]) as g (event_id, external_id, version) order by g.event_id
     on conflict (spoke, event_id) do update set
       body = greatest(i.body, excluded.body), received_at = excluded.received_at, done_at = excluded.done_at`,
    values: [
      spoke,
      object,
      gone.map(({ externalId }) => goneId(object, externalId)),
      gone.map(({ externalId }) => externalId),
      gone.map(({ version }) => version),
      new Date(atMs).toISOString(),
    ],
  });
}

/** The version with which each of these is known to have been deleted. */
export async function goneVersions(
  db: Queryable,
  spoke: SpokeName,
  object: ObjectName,
  ids: readonly ExternalId[],
): Promise<ReadonlyMap<ExternalId, Version>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.query({
    name: 'inbox_told_gone',
    text: `select external_id, body from truespoke.inbox where spoke = $1 and event_id = any($2::text[])`,
    values: [spoke, ids.map((id) => goneId(object, id))],
  });
  return new Map(rows.map((row) => [row['external_id'] as ExternalId, version(row['body'] ?? '')]));
}

export interface DueHint {
  readonly id: string;
  readonly object: ObjectName;
  readonly externalId: ExternalId;
  readonly deleted: boolean;
  readonly topic: string;
  /** Of a re-read of ours (`refetch`): what is expected of it. */
  readonly body: string | null;
}

/** The oldest open hints of one object. */
export async function dueHints(
  db: Queryable,
  spoke: SpokeName,
  rows: number,
  nowMs: number,
): Promise<readonly DueHint[]> {
  const result = await db.query({
    name: 'inbox_due',
    text: `select i.id, i.topic, i.object, i.external_id, i.deleted::text as deleted,
             case when i.topic = 'refetch' then i.body end as body from truespoke.inbox i
      where i.spoke = $1 and i.done_at is null and not i.compliance and i.object is not null
        and (i.not_before is null or i.not_before <= $3::timestamptz)
      order by i.id limit $2`,
    values: [spoke, rows, new Date(nowMs).toISOString()],
  });
  return result.rows.map((row) => ({
    id: row['id'] ?? '',
    object: row['object'] as ObjectName,
    externalId: row['external_id'] as ExternalId,
    deleted: row['deleted'] === 'true',
    topic: row['topic'] ?? '',
    body: row['body'] ?? null,
  }));
}

export async function finishHints(tx: Tx, ids: readonly string[], atMs: number): Promise<void> {
  await tx.query({
    name: 'inbox_done',
    text: `update truespoke.inbox set done_at = $2::timestamptz, body = null where id = any($1::bigint[])`,
    values: [ids, new Date(atMs).toISOString()],
  });
}

/** Finished events are kept for a while to recognise late duplicates, then dropped. */
export async function trimInbox(db: Queryable, olderThanMs: number): Promise<void> {
  await db.query(`delete from truespoke.inbox where done_at < $1::timestamptz`, [new Date(olderThanMs).toISOString()]);
}
