// Owns truespoke.parked: what was set aside, with its reason, in both directions. One open row per record at most (F22).
import { storableJson } from '../base/storable.js';
import type { EntityName, SpokeName } from '../model/ids.js';
import { textArray } from './copy.js';
import type { Queryable, Row, Tx } from './pool.js';

export interface Park {
  readonly direction: 'in' | 'out';
  readonly spoke: SpokeName;
  readonly entity: EntityName;
  /** External id (in) or hub id (out). */
  readonly key: string;
  readonly state: 'open' | 'waiting';
  readonly code: string;
  readonly message: string;
  readonly field: string | null;
  readonly payload: unknown;
  /** `entity/external id` whose link a waiting record needs. */
  readonly waitsFor: string | null;
  readonly deadlineMs: number | null;
}

/** Parks records, or adds an attempt to what is parked already. Keys must be distinct. */
export async function park(tx: Tx, rows: readonly Park[], atMs: number): Promise<void> {
  if (rows.length === 0) return;
  await tx.query({
    name: 'parked_add',
    text: `insert into truespoke.parked as p
       (direction, spoke, entity, key, state, code, message, field, payload, waits_for, deadline, first_at, last_at)
     select r.direction, r.spoke, r.entity, r.key, r.state, r.code, r.message, r.field, r.payload::jsonb, r.waits_for,
            r.deadline::timestamptz, $12::timestamptz, $12::timestamptz
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                   $9::text[], $10::text[], $11::text[])
              as r (direction, spoke, entity, key, state, code, message, field, payload, waits_for, deadline)
     on conflict (direction, spoke, entity, key) where state in ('open', 'waiting') do update set
       state = excluded.state, code = excluded.code, message = excluded.message, field = excluded.field,
       payload = excluded.payload, waits_for = excluded.waits_for,
       deadline = coalesce(p.deadline, excluded.deadline), attempts = p.attempts + 1, last_at = excluded.last_at`,
    values: [
      rows.map((row) => row.direction),
      rows.map((row) => row.spoke),
      rows.map((row) => row.entity),
      rows.map((row) => row.key),
      rows.map((row) => row.state),
      rows.map((row) => row.code),
      rows.map((row) => row.message),
      rows.map((row) => row.field),
      rows.map((row) => (row.payload === null ? null : storableJson(row.payload))),
      rows.map((row) => row.waitsFor),
      rows.map((row) => (row.deadlineMs === null ? null : new Date(row.deadlineMs).toISOString())),
      new Date(atMs).toISOString(),
    ],
  });
}

/** A later good value closes what was parked. */
export async function closeParked(
  tx: Tx,
  which: {
    readonly direction: 'in' | 'out';
    readonly spoke: SpokeName;
    readonly entity: EntityName;
    readonly keys: readonly string[];
  },
  atMs: number,
): Promise<void> {
  if (which.keys.length === 0) return;
  await tx.query({
    name: 'parked_close',
    text: `update truespoke.parked set state = 'resolved', last_at = $5::timestamptz
      where direction = $1 and spoke = $2 and entity = $3 and key = any($4::text[]) and state in ('open', 'waiting')`,
    values: [which.direction, which.spoke, which.entity, textArray(which.keys), new Date(atMs).toISOString()],
  });
}

/** How often an open record was tried; 0 when nothing of it is open. */
export async function parkedAttempts(
  db: Queryable,
  which: Pick<Park, 'direction' | 'spoke' | 'entity' | 'key'>,
): Promise<number> {
  const { rows } = await db.query(
    `select attempts from truespoke.parked
      where direction = $1 and spoke = $2 and entity = $3 and key = $4 and state in ('open', 'waiting')`,
    [which.direction, which.spoke, which.entity, which.key],
  );
  return Number(rows[0]?.['attempts'] ?? 0);
}

export interface Parked extends Park {
  readonly id: string;
  readonly attempts: number;
  readonly firstAt: string;
  readonly lastAt: string;
}

const columns = `p.id, p.direction, p.spoke, p.entity, p.key, p.state, p.code, p.message, p.field, p.payload, p.waits_for,
  p.deadline, p.attempts, p.first_at, p.last_at`;

function toParked(row: Row): Parked {
  return {
    id: row['id'] ?? '',
    direction: row['direction'] as 'in' | 'out',
    spoke: row['spoke'] as SpokeName,
    entity: row['entity'] as EntityName,
    key: row['key'] ?? '',
    state: row['state'] as 'open' | 'waiting',
    code: row['code'] ?? '',
    message: row['message'] ?? '',
    field: row['field'] ?? null,
    payload: row['payload'] === null || row['payload'] === undefined ? null : JSON.parse(row['payload']),
    waitsFor: row['waits_for'] ?? null,
    deadlineMs: row['deadline'] === null || row['deadline'] === undefined ? null : Date.parse(row['deadline']),
    attempts: Number(row['attempts']),
    firstAt: row['first_at'] ?? '',
    lastAt: row['last_at'] ?? '',
  };
}

/** Waiting records whose reference is linked by now. */
export async function readyWaiting(db: Queryable, spoke: SpokeName, rows: number): Promise<readonly Parked[]> {
  const result = await db.query(
    `select ${columns} from truespoke.parked p
       join truespoke.link l on l.spoke = p.spoke and l.entity = split_part(p.waits_for, '/', 1)
            and l.external_id = substr(p.waits_for, strpos(p.waits_for, '/') + 1) and l.state = 'live'
      where p.state = 'waiting' and p.spoke = $1 order by p.id limit $2`,
    [spoke, rows],
  );
  return result.rows.map(toParked);
}

/** Waiting records whose deadline has passed become open: a person must look. Returns how many. */
export async function expireWaiting(db: Queryable, nowMs: number): Promise<number> {
  const { rowCount } = await db.query(
    `update truespoke.parked set state = 'open', code = 'reference_missing', last_at = $1::timestamptz,
            message = message || ' (it did not arrive in time)'
      where state = 'waiting' and deadline < $1::timestamptz`,
    [new Date(nowMs).toISOString()],
  );
  return rowCount ?? 0;
}

export async function listParked(
  db: Queryable,
  filter: {
    readonly spoke?: string | undefined;
    readonly ids?: readonly string[] | undefined;
    readonly afterId?: string | null | undefined;
    readonly limit: number;
  },
): Promise<readonly Parked[]> {
  const { rows } = await db.query(
    `select ${columns} from truespoke.parked p
      where p.state in ('open', 'waiting') and ($1::text is null or p.spoke = $1) and ($2::bigint[] is null or p.id = any($2))
        and ($4::bigint is null or p.id > $4)
      order by p.id limit $3`,
    [filter.spoke ?? null, filter.ids ?? null, filter.limit, filter.afterId ?? null],
  );
  return rows.map(toParked);
}

export async function markReplayed(tx: Tx, ids: readonly string[], atMs: number): Promise<void> {
  await tx.query(
    `update truespoke.parked set state = 'replayed', last_at = $2::timestamptz where id = any($1::bigint[])`,
    [ids, new Date(atMs).toISOString()],
  );
}

/** Of these records nothing is set aside any more: what it waited for was decided. */
export async function releaseParked(
  tx: Tx,
  which: Pick<Park, 'direction' | 'spoke' | 'entity'> & { readonly keys: readonly string[] },
  atMs: number,
): Promise<void> {
  await tx.query(
    `update truespoke.parked set state = 'replayed', last_at = $5::timestamptz
      where direction = $1 and spoke = $2 and entity = $3 and key = any($4::text[]) and state in ('open', 'waiting')`,
    [which.direction, which.spoke, which.entity, which.keys, new Date(atMs).toISOString()],
  );
}
