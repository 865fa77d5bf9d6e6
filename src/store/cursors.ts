// Owns truespoke.cursor: how far each feed (an object of a spoke) was read. Cursors commit with their effects.
import type { Cursor, ObjectName, SpokeName } from '../model/ids.js';
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
}

const ms = (text: string | null | undefined): number | null =>
  text === null || text === undefined ? null : Date.parse(text);

export async function loadFeeds(db: Queryable, spoke?: SpokeName): Promise<readonly FeedState[]> {
  const { rows } = await db.query(
    `select spoke, object, kind, cursor, records, total, started_at, finished_at from truespoke.cursor
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

/** Forgets a scan, so that the next one starts from the beginning. */
export async function restartFeed(db: Queryable, spoke: SpokeName, object: ObjectName, kind: FeedKind): Promise<void> {
  await db.query(`delete from truespoke.cursor where spoke = $1 and object = $2 and kind = $3`, [spoke, object, kind]);
}
