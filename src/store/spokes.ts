// Owns truespoke.spoke: which systems are connected, who they are, and whether a person or the engine paused them.
import type { SpokeName } from '../model/ids.js';
import { quoteName, quoteText } from './identifier.js';
import type { Pool, Queryable } from './pool.js';

export interface SpokeRow {
  readonly name: SpokeName;
  readonly connector: string;
  readonly identity: string | null;
  readonly label: string | null;
  readonly pausedAt: string | null;
  readonly pausedReason: string | null;
  readonly pausedHint: string | null;
  readonly pausedBy: 'engine' | 'person' | null;
}

/** Registers a spoke and makes its partition of `link`. Safe to repeat and to run from several processes. */
export async function registerSpoke(pool: Pool, spoke: SpokeName, connector: string): Promise<void> {
  await pool.query(
    `insert into truespoke.spoke (name, connector) values ($1, $2)
     on conflict (name) do update set connector = excluded.connector`,
    [spoke, connector],
  );
  // The name as it is: `a-b` and `a_b` are two spokes. The configuration bounds it well below what Postgres keeps of a name.
  const partition = quoteName(`link_${spoke}`);
  await pool.query(
    `create table if not exists truespoke.${partition} partition of truespoke.link for values in (${quoteText(spoke)})`,
  );
}

const columns = `name, connector, identity, label, paused_at, paused_reason, paused_hint, paused_by`;

export async function loadSpokes(db: Queryable): Promise<readonly SpokeRow[]> {
  const { rows } = await db.query(`select ${columns} from truespoke.spoke order by name`);
  return rows.map((row) => ({
    name: row['name'] as SpokeName,
    connector: row['connector'] ?? '',
    identity: row['identity'] ?? null,
    label: row['label'] ?? null,
    pausedAt: row['paused_at'] ?? null,
    pausedReason: row['paused_reason'] ?? null,
    pausedHint: row['paused_hint'] ?? null,
    pausedBy: (row['paused_by'] ?? null) as SpokeRow['pausedBy'],
  }));
}

/** Pins the identity at first connect. Returns the pinned one: the caller compares. */
export async function pinIdentity(
  db: Queryable,
  spoke: SpokeName,
  identity: { readonly id: string; readonly label: string },
): Promise<string> {
  const { rows } = await db.query(
    `update truespoke.spoke set identity = coalesce(identity, $2), label = $3 where name = $1 returning identity`,
    [spoke, identity.id, identity.label],
  );
  return rows[0]?.['identity'] ?? identity.id;
}

export interface Pause {
  readonly atMs: number;
  readonly by: 'engine' | 'person';
  readonly reason: string;
  readonly hint: string | null;
}

/** A pause by a person is not overwritten by the engine's. Returns whether such a spoke exists. */
export async function pauseSpoke(db: Queryable, spoke: string, pause: Pause): Promise<boolean> {
  const { rowCount } = await db.query(
    `update truespoke.spoke
        set paused_at = coalesce(paused_at, $2::timestamptz),
            paused_reason = case when paused_by = 'person' then paused_reason else $3 end,
            paused_hint = case when paused_by = 'person' then paused_hint else $4 end,
            paused_by = case when paused_by = 'person' then paused_by else $5 end
      where name = $1`,
    [spoke, new Date(pause.atMs).toISOString(), pause.reason, pause.hint, pause.by],
  );
  return (rowCount ?? 0) > 0;
}

export async function resumeSpoke(db: Queryable, spoke: string): Promise<boolean> {
  const { rowCount } = await db.query(
    `update truespoke.spoke set paused_at = null, paused_reason = null, paused_hint = null, paused_by = null where name = $1`,
    [spoke],
  );
  return (rowCount ?? 0) > 0;
}
