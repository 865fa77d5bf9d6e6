// Owns truespoke.inbox: verified webhooks and other hints. Stored before the 2xx, deduped on (spoke, event id), done with the effect.
import type { ExternalId, ObjectName, SpokeName } from '../model/ids.js';
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

/** Which of these records somebody has been told of and may be reading now. */
export async function openHints(
  db: Queryable,
  spoke: SpokeName,
  object: ObjectName,
  ids: readonly ExternalId[],
): Promise<ReadonlySet<ExternalId>> {
  if (ids.length === 0) return new Set();
  const { rows } = await db.query(
    `select distinct external_id from truespoke.inbox
      where spoke = $1 and object = $2 and external_id = any($3::text[]) and done_at is null and not compliance`,
    [spoke, object, ids],
  );
  return new Set(rows.map((row) => row['external_id'] as ExternalId));
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
