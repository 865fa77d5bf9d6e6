// Owns the SQL around replication slots: make, drop, look at, and the command that starts a stream.
import { formatLsn, type Lsn, parseLsn } from '../model/lsn.js';
import { quoteName } from './identifier.js';
import type { Queryable } from './pool.js';

/** One row of pg_replication_slots with what is needed to judge it. */
export interface SlotRow {
  readonly name: string;
  readonly plugin: string | null;
  readonly database: string | null;
  readonly temporary: boolean;
  readonly active: boolean;
  /** Backend that reads the slot now. */
  readonly activePid: number | null;
  /** reserved | extended | unreserved | lost; null when the slot reserves nothing. */
  readonly walStatus: string | null;
  /** Why Postgres invalidated the slot (17 and later), else null. */
  readonly invalidation: string | null;
  readonly restartLsn: Lsn | null;
  readonly confirmedLsn: Lsn | null;
  /** The server's current position; WAL from restartLsn to here is retained. */
  readonly currentLsn: Lsn;
  /** Bytes that may still be written before the slot is lost; null = no limit. */
  readonly safeWalBytes: number | null;
  /** max_slot_wal_keep_size in bytes; null = no limit. */
  readonly keepBytesMax: number | null;
  /** The oldest open transaction of this database with an assigned id: it holds the slot's restart position (F42). */
  readonly oldestTransaction: { readonly pid: number; readonly ageMs: number } | null;
}

const readText = (invalidation: string): string => `
SELECT s.slot_name::text, s.plugin::text, s.database::text, s.temporary, s.active, s.active_pid, s.wal_status,
       ${invalidation} AS invalidation, s.restart_lsn, s.confirmed_flush_lsn, s.safe_wal_size,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS current_lsn,
       (SELECT CASE WHEN setting::bigint < 0 THEN NULL ELSE setting::bigint * 1048576 END
          FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS keep_bytes_max,
       t.pid AS oldest_pid, t.age_ms AS oldest_age_ms
  FROM pg_replication_slots s
  LEFT JOIN LATERAL (
       SELECT a.pid, round(extract(epoch FROM clock_timestamp() - a.xact_start) * 1000) AS age_ms
         FROM pg_stat_activity a
        WHERE a.backend_xid IS NOT NULL AND a.datname = s.database AND a.backend_type <> 'walsender'
        ORDER BY a.xact_start, a.pid
        LIMIT 1) t ON true
 WHERE s.slot_name = $1`;

/** Null when there is no such slot. `versionNumber` as in server_version_num. */
export async function readSlot(db: Queryable, name: string, versionNumber: number): Promise<SlotRow | null> {
  const text = readText(versionNumber >= 170_000 ? 's.invalidation_reason' : 'NULL::text');
  const { rows } = await db.query({ name: 'slots.read', text, values: [name] });
  const row = rows[0];
  if (row === undefined) return null;
  const position = (text: string | null | undefined): Lsn | null => (typeof text === 'string' ? parseLsn(text) : null);
  const number = (text: string | null | undefined): number | null => (typeof text === 'string' ? Number(text) : null);
  const [pid, ageMs] = [number(row['oldest_pid']), number(row['oldest_age_ms'])];
  return {
    name,
    plugin: row['plugin'] ?? null,
    database: row['database'] ?? null,
    temporary: row['temporary'] === 't',
    active: row['active'] === 't',
    activePid: number(row['active_pid']),
    walStatus: row['wal_status'] ?? null,
    invalidation: row['invalidation'] ?? null,
    restartLsn: position(row['restart_lsn']),
    confirmedLsn: position(row['confirmed_flush_lsn']),
    currentLsn: position(row['current_lsn']) ?? (0n as Lsn),
    safeWalBytes: number(row['safe_wal_size']),
    keepBytesMax: number(row['keep_bytes_max']),
    oldestTransaction: pid === null || ageMs === null ? null : { pid, ageMs },
  };
}

/** Makes a logical slot for pgoutput; returns its consistent point. Must not run in a transaction that has written. */
export async function createSlot(db: Queryable, name: string): Promise<Lsn> {
  const { rows } = await db.query(`SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')`, [name]);
  return parseLsn(rows[0]?.['lsn'] ?? '');
}

/** Drops the slot if it exists and nobody reads it. */
export async function dropSlot(db: Queryable, name: string): Promise<void> {
  await db.query(`SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1`, [name]);
}

/** Which cluster this is: system identifier, timeline and present position. */
export async function readSystem(
  db: Queryable,
): Promise<{ readonly systemId: string; readonly timeline: number; readonly currentLsn: Lsn }> {
  const { rows } = await db.query(
    `SELECT s.system_identifier::text AS system_id,
            -- The control file learns of a promotion only at the next checkpoint; the name of the WAL file at once.
            CASE WHEN pg_is_in_recovery() THEN c.timeline_id
                 ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline,
            CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS current_lsn
       FROM pg_control_system() s, pg_control_checkpoint() c`,
  );
  const row = rows[0];
  return {
    systemId: row?.['system_id'] ?? '',
    timeline: Number(row?.['timeline']),
    currentLsn: parseLsn(row?.['current_lsn'] ?? ''),
  };
}

/** On a replication connection: the server drops us when it hears nothing for this long, in ms; 0 = never. */
export const senderTimeoutText = `SELECT setting AS timeout_ms FROM pg_settings WHERE name = 'wal_sender_timeout'`;

/** START_REPLICATION with every name quoted: the library puts them in as they are. */
export function startReplicationText(options: {
  readonly slot: string;
  readonly publication: string;
  readonly from: Lsn;
}): string {
  // The replication grammar knows no escape but a doubled quote, so a backslash stands for itself.
  const publications = `'${quoteName(options.publication).replaceAll("'", "''")}'`;
  return (
    `START_REPLICATION SLOT ${quoteName(options.slot)} LOGICAL ${formatLsn(options.from)} ` +
    `(proto_version '1', publication_names ${publications}, messages 'true')`
  );
}
