// Owns truespoke.audit: what people ordered. Append-only and hash-chained, so a row that was changed or taken out shows. Holds orders
// and ids, never a record's values.
import type { Queryable, Tx } from './pool.js';

export interface AuditEntry {
  /** Who, e.g. `cli alice` or `api ops`. */
  readonly actor: string;
  /** e.g. `spoke.pause` */
  readonly action: string;
  readonly detail: Readonly<Record<string, unknown>>;
}

export interface AuditRow extends AuditEntry {
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly hash: string;
}

/** The same text for writing and for checking, whatever the session's settings. */
const hashOf = (prior: string, at: string, actor: string, action: string, detail: string): string =>
  `sha256(coalesce(${prior}, ''::bytea) || convert_to(jsonb_build_array(extract(epoch from ${at}), ${actor}, ${action}, ${detail})::text, 'UTF8'))`;

/** In the transaction of what was ordered: neither stands without the other. */
export async function audit(tx: Tx, entry: AuditEntry, atMs: number): Promise<void> {
  // Writers queue here: two rows must not follow the same one. The row before must be read by a statement that begins after the lock.
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('truespoke audit', 0))`);
  await tx.query(
    `insert into truespoke.audit (at, actor, action, detail, prior, hash)
     select $1::timestamptz, $2, $3, $4::jsonb, l.hash, ${hashOf('l.hash', '$1::timestamptz', '$2::text', '$3::text', '$4::jsonb')}
       from (select 1) one
       left join (select hash from truespoke.audit order by id desc limit 1) l on true`,
    [new Date(atMs).toISOString(), entry.actor, entry.action, JSON.stringify(entry.detail)],
  );
}

/** Newest first. */
export async function listAudit(db: Queryable, limit: number): Promise<readonly AuditRow[]> {
  const { rows } = await db.query(
    `select id, at, actor, action, detail, encode(hash, 'hex') as hash from truespoke.audit order by id desc limit $1`,
    [limit],
  );
  return rows.map((row) => ({
    id: row['id'] ?? '',
    at: new Date(row['at'] ?? 0).toISOString(),
    actor: row['actor'] ?? '',
    action: row['action'] ?? '',
    detail: JSON.parse(row['detail'] ?? '{}') as Readonly<Record<string, unknown>>,
    hash: row['hash'] ?? '',
  }));
}

/** Id of the first row that is not as it was written, or does not follow the one before it; null when the chain is whole. */
export async function brokenAudit(db: Queryable): Promise<string | null> {
  const { rows } = await db.query(
    `select a.id from (select *, lag(hash) over (order by id) as before from truespoke.audit) a
      where a.prior is distinct from a.before
         or a.hash <> ${hashOf('a.prior', 'a.at', 'a.actor', 'a.action', 'a.detail')}
      order by a.id limit 1`,
  );
  return rows[0]?.['id'] ?? null;
}
