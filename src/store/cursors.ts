// Owns truespoke.cursor: how far each feed (an object of a spoke) was read. Cursors commit with their effects.
import type { Cursor, ObjectName, SpokeName } from '../model/ids.js';
import type { Coverage } from '../mapping/coverage.js';
import type { Queryable, Tx } from './pool.js';

export type FeedKind = 'scan' | 'changes' | 'inventory';

export interface FeedState {
  readonly spoke: SpokeName;
  readonly object: ObjectName;
  readonly kind: FeedKind;
  readonly cursor: Cursor | null;
  readonly records: number;
  readonly total: number | null;
  readonly startedAtMs: number | null;
  readonly finishedAtMs: number | null;
  /** scan: what the last complete one brought in; null = none yet, or not known. */
  readonly scanned: Coverage | null;
  /** scan: what the one under way will have brought in. */
  readonly scanning: Coverage | null;
}

const ms = (text: string | null | undefined): number | null =>
  text === null || text === undefined ? null : Date.parse(text);

export async function loadFeeds(db: Queryable, spoke?: SpokeName): Promise<readonly FeedState[]> {
  const { rows } = await db.query(
    `select spoke, object, kind, cursor, records, total, started_at, finished_at, scanned, scanning from truespoke.cursor
      where $1::text is null or spoke = $1 order by spoke, object, kind`,
    [spoke ?? null],
  );
  return rows.map((row) => ({
    spoke: row['spoke'] as SpokeName,
    object: row['object'] as ObjectName,
    kind: row['kind'] as FeedKind,
    cursor: row['cursor'] as Cursor | null,
    records: Number(row['records']),
    total: row['total'] === null ? null : Number(row['total']),
    startedAtMs: ms(row['started_at']),
    finishedAtMs: ms(row['finished_at']),
    scanned: JSON.parse(row['scanned'] ?? 'null') as Coverage | null,
    scanning: JSON.parse(row['scanning'] ?? 'null') as Coverage | null,
  }));
}

export interface FeedProgress {
  readonly spoke: SpokeName;
  readonly object: ObjectName;
  readonly kind: FeedKind;
  readonly cursor: Cursor | null;
  /** Records read since the last save. */
  readonly records: number;
  readonly total?: number | null;
  readonly finished?: boolean;
}

/** Saves a position. Inside the transaction that applied what it covers, or alone when it covers nothing. */
export async function saveFeed(db: Queryable | Tx, progress: FeedProgress, atMs: number): Promise<void> {
  const at = new Date(atMs).toISOString();
  await db.query(
    `insert into truespoke.cursor as c (spoke, object, kind, cursor, records, total, started_at, finished_at, updated_at)
     values ($1, $2, $3, $4, $5, $6, $8::timestamptz, case when $7::boolean then $8::timestamptz end, $8::timestamptz)
     on conflict (spoke, object, kind) do update set
       cursor = coalesce(excluded.cursor, c.cursor), records = c.records + excluded.records,
       total = coalesce(excluded.total, c.total),
       started_at = coalesce(c.started_at, excluded.started_at),
       finished_at = coalesce(excluded.finished_at, c.finished_at), updated_at = excluded.updated_at`,
    [
      progress.spoke,
      progress.object,
      progress.kind,
      progress.cursor,
      progress.records,
      progress.total ?? null,
      progress.finished ?? false,
      at,
    ],
  );
}

/** The position from which changes are read; one that is there already stays, whoever asked the spoke later. */
export async function startFeed(
  db: Queryable,
  { spoke, object, cursor }: Pick<FeedProgress, 'spoke' | 'object' | 'cursor'>,
  atMs: number,
): Promise<void> {
  await db.query(
    `insert into truespoke.cursor (spoke, object, kind, cursor, started_at, updated_at)
     values ($1, $2, 'changes', $3, $4::timestamptz, $4::timestamptz)
     on conflict (spoke, object, kind) do nothing`,
    [spoke, object, cursor, new Date(atMs).toISOString()],
  );
}

type ScanKey = Pick<FeedState, 'spoke' | 'object'>;

/** A scan begins at the first record, whatever an earlier one had come to. */
export async function beginScan(tx: Tx, { spoke, object }: ScanKey, covers: Coverage, atMs: number): Promise<void> {
  await tx.query(
    `insert into truespoke.cursor (spoke, object, kind, scanning, started_at, updated_at)
     values ($1, $2, 'scan', $3::jsonb, $4::timestamptz, $4::timestamptz)
     on conflict (spoke, object, kind) do update set cursor = null, records = 0, total = null, scanning = excluded.scanning,
       started_at = excluded.started_at, finished_at = null, updated_at = excluded.updated_at`,
    [spoke, object, JSON.stringify(covers), new Date(atMs).toISOString()],
  );
}

/** All of it has been read, or nothing had to be. */
export async function finishScan(tx: Tx, { spoke, object }: ScanKey, covers: Coverage, atMs: number): Promise<void> {
  await tx.query(
    `update truespoke.cursor set scanned = $3::jsonb, scanning = null, finished_at = coalesce(finished_at, $4::timestamptz),
            updated_at = $4::timestamptz
      where spoke = $1 and object = $2 and kind = 'scan'`,
    [spoke, object, JSON.stringify(covers), new Date(atMs).toISOString()],
  );
}
