// Owns truespoke.delivery: the dirty set, its leases and its states. pending → claimed → sent → settled | unknown.
// Law 5: what was sent and not answered becomes `unknown`, never pending again, until a read-back has decided.
import { groupBy } from '../base/group-by.js';
import { storableJson } from '../base/storable.js';
import type { EntityName, HubId, SpokeName } from '../model/ids.js';
import type { Intent } from '../model/intent.js';
import type { HubFields, RemoteValue } from '../model/record.js';
import { jsonArray, textArray } from './copy.js';
import type { Queryable, Row, Tx } from './pool.js';

export type DeliveryLane = 0 | 1 | 2;
export const lane = { interactive: 0, repair: 1, backfill: 2 } as const;

export interface Dirty {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly hubId: HubId;
  readonly lane: DeliveryLane;
  readonly atMs: number;
  readonly lsn: string | null;
  readonly trace: string | null;
  /** Repair: field → what a fresh read of the spoke showed. */
  readonly observed?: Readonly<Record<string, RemoteValue>> | null;
  /** Asks a person first (mass deletion, TRUNCATE). */
  readonly held?: string | null;
  /**
   * JSON of what the changed fields hold now. When the link's base says just that and nothing is under way, the spoke shows it
   * already and no delivery is made: an echo is stopped by comparison, here without even a row (law 1).
   */
  readonly after?: string | null;
}

/** Marks records dirty: new rows, or a newer generation of those that are waiting or under way. Keys must be distinct. */
export async function markDirty(tx: Tx, rows: readonly Dirty[]): Promise<void> {
  if (rows.length < feedRowsMin) return markAny(tx, rows);
  const feeds = groupBy(rows, ({ spoke, entity }) => `${spoke}\n${entity}`);
  // In the order in which one statement takes its locks.
  for (const [, feed] of [...feeds].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const [first] = feed;
    if (first !== undefined && feed.every((row) => isPlainLike(row, first))) await markPlain(tx, first, feed);
    else await markAny(tx, feed);
  }
}

/** Below this many rows a statement more costs as much as narrower rows save. */
const feedRowsMin = 100;

async function markAny(tx: Tx, rows: readonly Dirty[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query({
    name: 'delivery_dirty',
    text: dirtyText(`unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                   $10::text[])
              as r (spoke, entity, hub_id, lane, at, lsn, trace, observed, held, after)`),
    values: [
      textArray(rows.map((row) => row.spoke)),
      textArray(rows.map((row) => row.entity)),
      textArray(rows.map((row) => row.hubId)),
      textArray(rows.map((row) => row.lane)),
      textArray(rows.map((row) => new Date(row.atMs).toISOString())),
      textArray(rows.map((row) => row.lsn)),
      textArray(rows.map((row) => row.trace)),
      textArray(
        rows.map((row) => (row.observed === undefined || row.observed === null ? null : storableJson(row.observed))),
      ),
      textArray(rows.map((row) => row.held ?? null)),
      jsonArray(rows.map((row) => row.after ?? null)),
    ],
  });
}

const isNone = (value: unknown): boolean => value === undefined || value === null;

function isPlainLike(row: Dirty, first: Dirty): boolean {
  return row.lane === first.lane && isNone(row.trace) && isNone(row.observed) && isNone(row.held);
}

/** What capture brings, nearly always: four arrays instead of ten (3 to 4 of 20 µs a row in Postgres, as much again here). */
async function markPlain(tx: Tx, { spoke, entity, lane }: Dirty, rows: readonly Dirty[]): Promise<void> {
  await tx.query({
    name: 'delivery_dirty_plain',
    text: dirtyText(`(select $1::text as spoke, $2::text as entity, u.hub_id, $3::int as lane, u.at, u.lsn, null::text as trace,
                     null::text as observed, null::text as held, u.after
                from unnest($4::text[], $5::text[], $6::text[], $7::text[]) as u (hub_id, at, lsn, after)) r`),
    values: [
      spoke,
      entity,
      lane,
      textArray(rows.map((row) => row.hubId)),
      textArray(rows.map((row) => new Date(row.atMs).toISOString())),
      textArray(rows.map((row) => row.lsn)),
      jsonArray(rows.map((row) => row.after ?? null)),
    ],
  });
}

const dirtyText = (rows: string): string => `insert into truespoke.delivery as d
       (spoke, entity, hub_id, state, generation, lane, dirty_at, lsn, trace, observed, reason)
     select r.spoke, r.entity, r.hub_id, case when r.held is null then 'pending' else 'held' end, 1, r.lane,
            r.at::timestamptz, r.lsn::pg_lsn, r.trace, r.observed::jsonb, r.held
       from ${rows}
      where r.after is null
         or exists (select 1 from truespoke.delivery o
                     where o.spoke = r.spoke and o.entity = r.entity and o.hub_id = r.hub_id)
         or not exists (select 1 from truespoke.link l
                         where l.spoke = r.spoke and l.entity = r.entity and l.hub_id = r.hub_id and l.state = 'live'
                           and l.base_hub @> r.after::jsonb)
      order by r.spoke, r.entity, r.hub_id
     on conflict (spoke, entity, hub_id) do update set
       generation = d.generation + 1, lane = least(d.lane, excluded.lane),
       dirty_at = greatest(d.dirty_at, excluded.dirty_at), lsn = coalesce(excluded.lsn, d.lsn),
       trace = coalesce(excluded.trace, d.trace), observed = coalesce(d.observed || excluded.observed, excluded.observed, d.observed),
       not_before = case when d.state = 'pending' and d.waits_for is null then null else d.not_before end,
       state = case when d.state = 'pending' and excluded.state = 'held' then 'held' else d.state end`;

/** A row that a parent embeds at a spoke, of a table whose WAL does not tell which parent it had. */
export interface EmbeddedRow {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly hubId: HubId;
  /** The entity of the parent. */
  readonly parent: EntityName;
  readonly atMs: number;
  readonly lsn: string;
}

/** Marks the parents that embed these rows at their spokes, as their links know them. */
export async function markCarriers(tx: Tx, rows: readonly EmbeddedRow[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query(
    `insert into truespoke.delivery as d (spoke, entity, hub_id, state, generation, lane, dirty_at, lsn)
     select r.spoke, r.parent, l.parent_id, 'pending', 1, 0, max(r.at::timestamptz), max(r.lsn::pg_lsn)
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as r (spoke, entity, hub_id, parent, at, lsn)
       join truespoke.link l on l.spoke = r.spoke and l.entity = r.entity and l.hub_id = r.hub_id and l.state = 'live'
      where l.parent_id is not null group by 1, 2, 3 order by 1, 2, 3
     on conflict (spoke, entity, hub_id) do update set
       generation = d.generation + 1, lane = 0, dirty_at = greatest(d.dirty_at, excluded.dirty_at), lsn = excluded.lsn`,
    [
      rows.map((row) => row.spoke),
      rows.map((row) => row.entity),
      rows.map((row) => row.hubId),
      rows.map((row) => row.parent),
      rows.map((row) => new Date(row.atMs).toISOString()),
      rows.map((row) => row.lsn),
    ],
  );
}

export interface Claimed {
  readonly hubId: HubId;
  readonly generation: number;
  readonly attempt: number;
  readonly fence: string;
  readonly lane: DeliveryLane;
  readonly dirtyAtMs: number;
  readonly trace: string | null;
  readonly observed: Readonly<Record<string, RemoteValue>> | null;
  readonly intent: Intent | null;
}

export interface ClaimRequest {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  readonly state: 'pending' | 'unknown';
  readonly rows: number;
  readonly worker: string;
  readonly nowMs: number;
  readonly leaseMs: number;
  /** Drawn: no other claim has it, not even one that a server forgot when it crashed. */
  readonly fence: number;
}

/**
 * Takes due deliveries under a lease and a fencing token. Skips what another worker holds. Its commit does not wait for the disk: a server
 * that crashes forgets the claim with the lease, nothing has been sent yet, and `markSent`, which waits, makes what came before it durable as
 * well. A sequence could then give the same token twice; so it is drawn.
 */
export async function claim(db: Queryable, request: ClaimRequest): Promise<readonly Claimed[]> {
  const { rows } = await db.query({
    name: `delivery_claim_${request.state}`,
    text: `with due as materialized (
       select spoke, entity, hub_id from truespoke.delivery
        where spoke = $1 and entity = $2 and state = '${request.state}' and (not_before is null or not_before <= $4::timestamptz)
              ${request.state === 'unknown' ? 'and holder is null' : ''}
        order by lane, dirty_at, hub_id limit $3 for update skip locked),
     token as materialized (select $7::bigint as fence, set_config('synchronous_commit', 'off', true))
     update truespoke.delivery d
        set state = ${request.state === 'pending' ? `'claimed'` : 'd.state'}, holder = $5, fence = token.fence,
            lease_until = $6::timestamptz, attempt = d.attempt + 1, waits_for = null
       from due, token
      where d.spoke = due.spoke and d.entity = due.entity and d.hub_id = due.hub_id
     returning d.hub_id, d.generation, d.attempt, d.fence, d.lane, d.dirty_at, d.trace, d.observed, d.intent`,
    values: [
      request.spoke,
      request.entity,
      request.rows,
      new Date(request.nowMs).toISOString(),
      request.worker,
      new Date(request.nowMs + request.leaseMs).toISOString(),
      request.fence,
    ],
  });
  return rows.map(toClaimed);
}

function toClaimed(row: Row): Claimed {
  const json = <T>(text: string | null | undefined): T | null =>
    text === null || text === undefined ? null : (JSON.parse(text) as T);
  return {
    hubId: row['hub_id'] as HubId,
    generation: Number(row['generation']),
    attempt: Number(row['attempt']),
    fence: row['fence'] ?? '',
    lane: Number(row['lane']) as DeliveryLane,
    dirtyAtMs: Date.parse(row['dirty_at'] ?? ''),
    trace: row['trace'] ?? null,
    observed: json(row['observed']),
    intent: json<Intent>(row['intent']),
  };
}

interface Feed {
  readonly spoke: SpokeName;
  readonly entity: EntityName;
}

export interface Fenced {
  readonly hubId: HubId;
  readonly fence: string;
}

/**
 * Rows of a batch as `r`, with the feed's names beside them. OFFSET 0 hides from the planner that these are the same everywhere: by
 * statistics of a moment at which the feed had no rows, or none in a state, it takes the table for empty and compares every row of it with
 * every row of the batch (11 ms a record instead of 26 µs). As it is, it can only join by the key.
 */
const batchOf = (columns: string, arrays: string): string =>
  `(select $1::text as spoke, $2::text as entity, array['claimed', 'sent'] as claimed, u.* from unnest(${arrays}) u (${columns}) offset 0) r`;
const itsRow = `d.spoke = r.spoke and d.entity = r.entity and d.hub_id = r.hub_id`;

export interface Sending extends Fenced {
  readonly intent: Intent;
  /** Revision of the live link that the intent was compared with; null = there was none. */
  readonly seen: string | null;
}

/**
 * Records what is about to be sent. Returns the rows still ours whose link is as it was when they were compared: only those may go on the
 * wire. What inbound has taken in since would be written over unseen (the spoke's own read may lag behind it), and a record that has been
 * linked since is not created.
 */
export async function markSent(db: Queryable, feed: Feed, rows: readonly Sending[]): Promise<ReadonlySet<string>> {
  const result = await db.query({
    name: 'delivery_sent',
    text: `update truespoke.delivery d set state = 'sent',
            intent = r.intent::jsonb || case when d.intent is null then '{}' else jsonb_build_object(
              'late', coalesce(d.intent -> 'late', '[]') || jsonb_build_array(d.intent - 'late')) end
       from ${batchOf('hub_id, fence, intent, seen', '$3::text[], $4::text[], $5::text[], $6::text[]')}
      where ${itsRow} and d.fence = r.fence::bigint
        and d.state = any(r.claimed)
        and r.seen is not distinct from (select l.xmin::text from truespoke.link l
                                          where l.spoke = $1 and l.entity = $2 and l.hub_id = r.hub_id and l.state = 'live')
     returning d.hub_id`,
    values: [
      feed.spoke,
      feed.entity,
      textArray(rows.map((row) => row.hubId)),
      textArray(rows.map((row) => row.fence)),
      jsonArray(rows.map((row) => JSON.stringify(row.intent))),
      textArray(rows.map((row) => row.seen)),
    ],
  });
  return new Set(result.rows.map((row) => row['hub_id'] ?? ''));
}

/** Locks claimed rows inside the settling transaction. A row that another worker took since is left out (F24). */
export async function lockClaimed(tx: Tx, feed: Feed, rows: readonly Fenced[]): Promise<ReadonlySet<string>> {
  const result = await tx.query({
    name: 'delivery_lock',
    text: `select d.hub_id from truespoke.delivery d
       join ${batchOf('hub_id, fence', '$3::text[], $4::text[]')} on ${itsRow} and d.fence = r.fence::bigint
      order by d.hub_id for update of d`,
    values: [feed.spoke, feed.entity, textArray(rows.map((row) => row.hubId)), textArray(rows.map((row) => row.fence))],
  });
  return new Set(result.rows.map((row) => row['hub_id'] ?? ''));
}

/** Done with these, which `lockClaimed` has locked. A row that got a newer generation meanwhile goes back to pending instead: true = one did. */
export async function settle(
  tx: Tx,
  feed: Feed,
  rows: readonly Pick<Claimed, 'hubId' | 'generation' | 'observed'>[],
): Promise<boolean> {
  if (rows.length === 0) return false;
  const values = [
    feed.spoke,
    feed.entity,
    textArray(rows.map((row) => row.hubId)),
    textArray(rows.map((row) => row.generation)),
  ];
  const { rowCount } = await tx.query({
    name: 'delivery_settle',
    text: `delete from truespoke.delivery d using ${batchOf('hub_id, generation', '$3::text[], $4::bigint[]')}
      where ${itsRow} and d.generation = r.generation`,
    values,
  });
  if (rowCount === rows.length) return false;
  await tx.query({
    name: 'delivery_again',
    text: `update truespoke.delivery d
        set state = 'pending', holder = null, lease_until = null, intent = null, attempt = 0, not_before = null, reason = null,
            -- What was shown before this write says nothing any more; what was seen since does.
            observed = case when d.observed is distinct from r.observed::jsonb then d.observed end
       from ${batchOf('hub_id, generation, observed', '$3::text[], $4::bigint[], $5::text[]')}
      where ${itsRow} and d.generation > r.generation`,
    values: [...values, jsonArray(rows.map((row) => (row.observed === null ? null : JSON.stringify(row.observed))))],
  });
  return true;
}

export interface Release {
  readonly hubId: HubId;
  readonly state: 'pending' | 'unknown' | 'held';
  readonly notBeforeMs: number | null;
  readonly reason: string | null;
  readonly waitsFor: string | null;
  /** Counts against the attempts of the record; a throttle or a pause does not. */
  readonly counts: boolean;
}

/** Gives claimed rows back, to be tried later. What may still arrive keeps its intent. */
export async function release(tx: Queryable, feed: Feed, rows: readonly Release[]): Promise<void> {
  if (rows.length === 0) return;
  await tx.query({
    name: 'delivery_release',
    text: `update truespoke.delivery d
        set state = r.state, holder = null, lease_until = null, reason = r.reason, waits_for = r.waits_for,
            -- What it waits for may have been linked while it was looked at: then nobody will wake it.
            not_before = case when exists (
                select 1 from truespoke.link l
                 where r.waits_for is not null and l.spoke = $1 and l.state = 'live'
                   and l.entity = split_part(r.waits_for, '/', 1)
                   and l.hub_id = substr(r.waits_for, strpos(r.waits_for, '/') + 1)
              ) then null else r.not_before::timestamptz end,
            attempt = d.attempt - case when r.counts then 0 else 1 end,
            -- What was not found may still arrive (F65), and what is hidden may show (F78): until the record is settled or given up, it is known
            -- what it was. An answered write is known; what was tried before it is not.
            intent = case when r.state = 'unknown' or r.reason in ('not_applied', 'not_shown') or d.state = 'claimed' then d.intent
                          when jsonb_array_length(d.intent -> 'late') > 0
                            then (d.intent -> 'late' -> -1) || jsonb_build_object('late', (d.intent -> 'late') - -1) end
       from ${batchOf(
         'hub_id, state, not_before, reason, waits_for, counts',
         '$3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[]',
       )}
      where ${itsRow}`,
    values: [
      feed.spoke,
      feed.entity,
      rows.map((row) => row.hubId),
      rows.map((row) => row.state),
      rows.map((row) => (row.notBeforeMs === null ? null : new Date(row.notBeforeMs).toISOString())),
      rows.map((row) => row.reason),
      rows.map((row) => row.waitsFor),
      rows.map((row) => row.counts),
    ],
  });
}

/** The batch failed on our side: what was recorded as sent is unknown, the rest is pending again. */
export async function abandonClaims(db: Queryable, feed: Feed, rows: readonly Fenced[]): Promise<void> {
  await db.query({
    name: 'delivery_abandon',
    text: `update truespoke.delivery d
        set state = case d.state when 'claimed' then 'pending' else 'unknown' end, holder = null, lease_until = null
       from ${batchOf('hub_id, fence', '$3::text[], $4::text[]')}
      where ${itsRow} and d.fence = r.fence::bigint and d.state in ('claimed', 'sent', 'unknown')`,
    values: [feed.spoke, feed.entity, rows.map((row) => row.hubId), rows.map((row) => row.fence)],
  });
}

/**
 * Before the links of these records move: what was planned for the old pairs is planned anew, and whoever had claimed it finds its fence
 * gone (F24). False, and nothing is changed, while a write of ours to one of them is under way: what it does belongs to the pair for which
 * it was made, and would look like somebody's edit in another.
 */
export async function takeBackClaims(
  tx: Tx,
  entity: EntityName,
  spokes: readonly SpokeName[],
  ids: readonly HubId[],
): Promise<boolean> {
  const values = [spokes, entity, ids];
  const { rows } = await tx.query(
    `select state from truespoke.delivery where spoke = any($1::text[]) and entity = $2 and hub_id = any($3::text[])
      order by spoke, hub_id for update`,
    values,
  );
  if (rows.some(({ state }) => state === 'sent' || state === 'unknown')) return false;
  await tx.query(
    `update truespoke.delivery set state = 'pending', holder = null, lease_until = null, fence = nextval('truespoke.fence')
      where spoke = any($1::text[]) and entity = $2 and hub_id = any($3::text[]) and state = 'claimed'`,
    values,
  );
  return true;
}

/** Deliveries that waited for these records may go; those that were parked for want of one of them are tried again. True = there are any. */
export async function releaseWaiting(
  tx: Tx,
  spoke: SpokeName,
  entity: EntityName,
  ids: readonly HubId[],
): Promise<boolean> {
  if (ids.length === 0) return false;
  const values = [spoke, textArray(ids.map((id) => `${entity}/${id}`))];
  const woken = await tx.query({
    name: 'delivery_wake',
    text: `update truespoke.delivery set not_before = null, waits_for = null, reason = null, attempt = 0
      where spoke = $1 and waits_for = any($2::text[]) and state = 'pending'`,
    values,
  });
  const unparked = await tx.query({
    name: 'delivery_unpark',
    text: `with back as (
        update truespoke.parked set state = 'replayed'
         where direction = 'out' and spoke = $1 and state = 'open' and waits_for = any($2::text[])
        returning entity, key, last_at)
      insert into truespoke.delivery as d (spoke, entity, hub_id, state, generation, lane, dirty_at)
      select $1, entity, key, 'pending', 1, 0, last_at from back order by entity, key
          on conflict (spoke, entity, hub_id) do update set generation = d.generation + 1`,
    values,
  });
  return (woken.rowCount ?? 0) + (unparked.rowCount ?? 0) > 0;
}

/** Which of these records have a write of ours under way: what a spoke shows of them now cannot be judged yet. */
export async function inFlight(tx: Tx, feed: Feed, ids: readonly HubId[]): Promise<ReadonlySet<string>> {
  if (ids.length === 0) return new Set();
  const { rows } = await tx.query({
    name: 'delivery_in_flight',
    text: `select hub_id from truespoke.delivery
      where spoke = $1 and entity = $2 and hub_id = any($3::text[]) and state in ('sent', 'unknown')`,
    values: [feed.spoke, feed.entity, ids],
  });
  return new Set(rows.map((row) => row['hub_id'] ?? ''));
}

/** May a record of this feed that has no link be one that we have made? */
export async function createUnderWay(tx: Tx, feed: Feed): Promise<boolean> {
  const { rows } = await tx.query(
    `select exists (select 1 from truespoke.delivery where spoke = $1 and entity = $2 and intent ->> 'op' = 'create')::text as yes`,
    [feed.spoke, feed.entity],
  );
  return rows[0]?.['yes'] === 'true';
}

export interface Open {
  /** When the hub's side was last edited. */
  readonly atMs: number;
  /** What writes of ours carried that were not answered and may still arrive (F65), oldest first. */
  readonly tried: readonly HubFields[];
}

/** These records' deliveries to the spoke, where one is open. */
export async function openDeliveries(tx: Tx, feed: Feed, ids: readonly HubId[]): Promise<Map<HubId, Open>> {
  if (ids.length === 0) return new Map();
  const { rows } = await tx.query({
    name: 'delivery_open',
    text: `select hub_id, dirty_at, jsonb_path_query_array(intent, '$.late[*].hub') || jsonb_build_array(intent -> 'hub') as tried
             from truespoke.delivery
      where spoke = $1 and entity = $2 and hub_id = any($3::text[])`,
    values: [feed.spoke, feed.entity, ids],
  });
  const open = (row: Row): Open => ({
    atMs: Date.parse(row['dirty_at'] ?? ''),
    tried: (JSON.parse(row['tried'] ?? '[]') as readonly (HubFields | null)[]).filter((one) => one !== null),
  });
  return new Map(rows.map((row) => [row['hub_id'] as HubId, open(row)]));
}

/** Deliveries of a feed that wait, counted up to `limit`: is a bulk route worth its while? */
export async function countPending(db: Queryable, feed: Feed, limit: number, nowMs: number): Promise<number> {
  const { rows } = await db.query({
    name: 'delivery_count_pending',
    text: `select count(*)::text as n from (
        select 1 from truespoke.delivery where spoke = $1 and entity = $2 and state = 'pending'
           and (not_before is null or not_before <= $4::timestamptz) limit $3) due`,
    values: [feed.spoke, feed.entity, limit, new Date(nowMs).toISOString()],
  });
  return Number(rows[0]?.['n'] ?? 0);
}

export interface Due {
  readonly entity: EntityName;
  /** Due deliveries of the most urgent lane that has any, counted up to the limit. */
  readonly pending: number;
  /** The first of them in line and when it was edited; moves when it is edited again. */
  readonly first: string | null;
  readonly unknown: boolean;
}

/** What is due, by entity, of those given. Counting stops at `countMax`. */
export async function dueEntities(
  db: Queryable,
  spoke: SpokeName,
  entities: readonly EntityName[],
  at: { readonly nowMs: number; readonly countMax: number },
): Promise<readonly Due[]> {
  const { rows } = await db.query({
    name: 'delivery_due_entities',
    text: `select e.entity, f.dirty_at || ' ' || f.hub_id as first,
        case when f.lane is null then 0 else (select count(*) from (
          select 1 from truespoke.delivery d where d.spoke = $1 and d.entity = e.entity and d.state = 'pending' and d.lane = f.lane
             and (d.not_before is null or d.not_before <= $3::timestamptz) limit $4::int) counted) end::text as pending,
        exists (select 1 from truespoke.delivery d where d.spoke = $1 and d.entity = e.entity and d.state = 'unknown'
                   and d.holder is null and (d.not_before is null or d.not_before <= $3::timestamptz))::text as unknown
       from unnest($2::text[]) with ordinality as e (entity, ord)
       left join lateral (
         select d.lane, d.dirty_at, d.hub_id from truespoke.delivery d
          where d.spoke = $1 and d.entity = e.entity and d.state = 'pending'
            and (d.not_before is null or d.not_before <= $3::timestamptz)
          order by d.lane, d.dirty_at, d.hub_id limit 1) f on true
      order by e.ord`,
    values: [spoke, entities, new Date(at.nowMs).toISOString(), at.countMax],
  });
  return rows.map((row) => ({
    entity: row['entity'] as EntityName,
    pending: Number(row['pending']),
    first: row['first'] ?? null,
    unknown: row['unknown'] === 'true',
  }));
}

/** Deletions of one source transaction wait for a person; what else it changed goes its way. Returns how many have a record at the spoke. */
export async function holdDeletes(tx: Tx, feed: Feed, lsn: string): Promise<number> {
  const { rowCount } = await tx.query(
    `update truespoke.delivery d set state = 'held', reason = 'mass_delete'
      where d.spoke = $1 and d.entity = $2 and d.lsn = $3::pg_lsn and d.state = 'pending'
        and exists (select 1 from truespoke.link l
                     where l.spoke = $1 and l.entity = $2 and l.hub_id = d.hub_id and l.state = 'live')
        and coalesce((select j.op = 'delete' or j.after ->> 'deleted_at' is not null from truespoke.journal j
                       where j.entity = d.entity and j.hub_id = d.hub_id and j.commit_lsn = d.lsn
                       order by j.seq desc limit 1), true)`,
    [feed.spoke, feed.entity, lsn],
  );
  return rowCount ?? 0;
}

/** Deletions of a feed that wait for a person because they are many. */
export async function countHeld(db: Queryable, feed: Feed): Promise<number> {
  const { rows } = await db.query(
    `select count(*)::text as n from truespoke.delivery
      where spoke = $1 and entity = $2 and state = 'held' and reason = 'mass_delete'`,
    [feed.spoke, feed.entity],
  );
  return Number(rows[0]?.['n'] ?? 0);
}

/** Class of the advisory locks that show which workers live. */
export const workerLockClass = 0x54535057;

/**
 * Takes leases back from workers that are gone (their session lock is free) or late. What had been sent is `unknown`.
 */
export async function recoverLeases(db: Queryable, nowMs: number): Promise<number> {
  const { rowCount } = await db.query(
    `update truespoke.delivery d
        set state = case d.state when 'claimed' then 'pending' else 'unknown' end, holder = null, lease_until = null,
            not_before = null
      where d.state in ('claimed', 'sent', 'unknown') and d.holder is not null
        and (d.lease_until < $1::timestamptz
             or not exists (select 1 from pg_locks p where p.locktype = 'advisory' and p.classid = ${workerLockClass}
                               and p.objid = d.holder::oid and p.objsubid = 2
                               and p.database = (select oid from pg_database where datname = current_database())))`,
    [new Date(nowMs).toISOString()],
  );
  return rowCount ?? 0;
}
