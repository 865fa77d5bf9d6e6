// Owns the questions asked of a hub before anything runs: can it be reached, and can logical replication work there?
// Each failed answer names the place, the cause and the command that helps. Changes nothing on the server.
import pg from 'pg';
import { type TruespokeError, Unreachable } from '../base/errors.js';
import { parseLsn, type Lsn } from '../model/lsn.js';
import { sqlState } from './pool.js';

/** What the hub is, as it says itself. */
export interface HubFacts {
  /** pg_control system identifier; another one means another cluster (F31–F33). */
  readonly systemId: string;
  readonly timeline: number;
  readonly walLsn: Lsn;
  readonly database: string;
  /** e.g. 180004 */
  readonly versionNumber: number;
  /** Bytes of WAL a slot may hold back; null = no limit. */
  readonly slotWalBytesMax: number | null;
}

export interface PreflightOptions {
  readonly url: string;
  /** Our slot, if it exists, needs no free place. */
  readonly slotName?: string;
  readonly connectTimeoutMs?: number;
}

export interface HubProblem {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

const versionMin = 140_000;

/** Resolves when everything holds. Rejects with one Unreachable that lists every problem found. */
export async function preflight(options: PreflightOptions): Promise<HubFacts> {
  const place = placeOf(options.url);
  const client = await connect(options, place, false);
  try {
    const answers = await ask(client, options.slotName ?? null);
    const problems = judge(answers);
    if (await sharesBackends(options, client, place)) problems.push(transactionPooling);
    const system = problems.some(({ code }) => code === 'hub_pooled') ? null : await identify(options, place, problems);
    const [first] = problems;
    if (first !== undefined || system === null) throw refusal(place, problems);
    return { ...system, versionNumber: answers.version, slotWalBytesMax: answers.slotWalBytesMax };
  } finally {
    await client.end().catch(() => undefined);
  }
}

function refusal(place: string, problems: readonly HubProblem[]): TruespokeError {
  return new Unreachable({
    code: problems[0]?.code ?? 'hub_refused',
    message: problems.map(({ message }) => `hub ${place}: ${message}`).join('\n'),
    hint: problems.map(({ hint }) => hint).join('\n'),
  });
}

interface Answers {
  readonly version: number;
  readonly walLevel: string;
  readonly encoding: string;
  readonly inRecovery: boolean;
  readonly readOnly: boolean;
  readonly user: string;
  readonly mayReplicate: boolean;
  readonly mayCreate: boolean;
  readonly database: string;
  readonly slotsFree: number;
  readonly slotExists: boolean;
  readonly sendersFree: number;
  readonly slotWalBytesMax: number | null;
}

async function ask(client: pg.Client, slotName: string | null): Promise<Answers> {
  const { rows } = await client.query<Record<string, string | boolean | number | null>>(
    `SELECT current_setting('server_version_num')::int AS version,
            current_setting('wal_level') AS wal_level,
            current_setting('server_encoding') AS encoding,
            pg_is_in_recovery() AS in_recovery,
            current_setting('transaction_read_only') = 'on' AS read_only,
            current_user::text AS "user",
            -- Managed services grant replication through a role instead of the attribute.
            COALESCE((SELECT bool_or(r.rolreplication OR r.rolsuper OR r.rolname = 'rds_replication')
                        FROM pg_roles r
                       WHERE r.rolname = current_user
                          OR (r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER'))), false) AS may_replicate,
            has_database_privilege(current_database(), 'CREATE') AS may_create,
            current_database()::text AS database,
            current_setting('max_replication_slots')::int
              - (SELECT count(*) FROM pg_replication_slots)::int AS slots_free,
            EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = $1) AS slot_exists,
            current_setting('max_wal_senders')::int
              - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')::int AS senders_free,
            (SELECT CASE WHEN setting::bigint < 0 THEN NULL ELSE (setting::bigint * 1048576)::text END
               FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS slot_wal_bytes_max`,
    [slotName],
  );
  const row = rows[0] ?? {};
  return {
    version: Number(row['version']),
    walLevel: String(row['wal_level']),
    encoding: String(row['encoding']),
    inRecovery: row['in_recovery'] === true,
    readOnly: row['read_only'] === true,
    user: String(row['user']),
    mayReplicate: row['may_replicate'] === true,
    mayCreate: row['may_create'] === true,
    database: String(row['database']),
    slotsFree: Number(row['slots_free']),
    slotExists: row['slot_exists'] === true,
    sendersFree: Number(row['senders_free']),
    slotWalBytesMax: typeof row['slot_wal_bytes_max'] === 'string' ? Number(row['slot_wal_bytes_max']) : null,
  };
}

/** Pure: every problem that the answers show. */
export function judge(a: Answers): HubProblem[] {
  const problems: HubProblem[] = [];
  const add = (failed: boolean, code: string, message: string, hint: string): void => {
    if (failed) problems.push({ code, message, hint });
  };
  const user = `"${a.user}"`;
  add(
    a.version < versionMin,
    'hub_version',
    `runs Postgres ${Math.floor(a.version / 10_000)}; 14 or newer is needed`,
    'Upgrade the server, or leave hub.url out to use the embedded one.',
  );
  add(
    a.walLevel !== 'logical',
    'hub_wal_level',
    `wal_level is ${a.walLevel}; captured changes need logical`,
    "As superuser: ALTER SYSTEM SET wal_level = 'logical'; then restart the server (managed services: set it in the parameter group).",
  );
  add(
    a.encoding !== 'UTF8',
    'hub_encoding',
    `database ${a.database} is encoded ${a.encoding}; UTF8 is needed`,
    `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0; and point hub.url at it.`,
  );
  add(
    a.inRecovery || a.readOnly,
    'hub_read_only',
    a.inRecovery ? 'is a standby, which cannot be written' : 'gives this role read-only transactions',
    a.inRecovery
      ? 'Point hub.url at the primary.'
      : `ALTER ROLE ${user} SET default_transaction_read_only = off; or end the maintenance mode of the server.`,
  );
  add(
    !a.mayReplicate,
    'hub_no_replication',
    `role ${user} lacks REPLICATION`,
    `As superuser: ALTER ROLE ${user} REPLICATION; (Amazon RDS: GRANT rds_replication TO ${user};)`,
  );
  add(
    !a.mayCreate,
    'hub_no_create',
    `role ${user} may not create schemas or publications in database ${a.database}`,
    `As its owner: GRANT CREATE ON DATABASE "${a.database}" TO ${user};`,
  );
  add(
    a.slotsFree < 1 && !a.slotExists,
    'hub_no_slot',
    'every replication slot is taken (max_replication_slots)',
    'Drop an unused one (SELECT slot_name, active FROM pg_replication_slots), or ALTER SYSTEM SET max_replication_slots = …; and restart.',
  );
  add(
    a.sendersFree < 1,
    'hub_no_sender',
    'every WAL sender is taken (max_wal_senders)',
    'ALTER SYSTEM SET max_wal_senders = …; and restart the server.',
  );
  return problems;
}

const transactionPooling: HubProblem = {
  code: 'hub_pooled',
  message: 'is behind a connection pooler in transaction mode, which breaks sessions and carries no replication',
  hint: 'Give hub.url the address of Postgres itself (or a pool_mode = session entry that allows replication).',
};

/** F56: two open sessions on one backend, or one session on two, exist only behind a transaction-mode pooler. */
async function sharesBackends(options: PreflightOptions, first: pg.Client, place: string): Promise<boolean> {
  const second = await connect(options, place, false);
  try {
    const before = await backendPid(first);
    await second.query('BEGIN');
    const other = await backendPid(second);
    // While the other one holds its backend, a pooler must put the first session onto a different one.
    const shared = before === other || before !== (await backendPid(first));
    await second.query('ROLLBACK');
    return shared;
  } finally {
    await second.end().catch(() => undefined);
  }
}

async function backendPid(client: pg.Client): Promise<unknown> {
  const { rows } = await client.query<{ pid: unknown }>('SELECT pg_backend_pid() AS pid');
  return rows[0]?.pid;
}

type SystemFacts = Pick<HubFacts, 'systemId' | 'timeline' | 'walLsn' | 'database'>;

/** The real proof: a walsender of this database answers. */
async function identify(options: PreflightOptions, place: string, problems: HubProblem[]): Promise<SystemFacts | null> {
  let walsender: pg.Client;
  try {
    walsender = await connect(options, place, true);
  } catch (error) {
    // The reasons found so far explain it better.
    if (problems.length > 0) return null;
    problems.push({
      code: 'hub_no_replication',
      message: `opens no replication connection (${(error as Error).message})`,
      hint: 'Allow it in pg_hba.conf for this role and database, and connect to Postgres itself, not to a pooler.',
    });
    return null;
  }
  try {
    const { rows } = await walsender.query<Record<string, string>>('IDENTIFY_SYSTEM');
    const row = rows[0] ?? {};
    return {
      systemId: row['systemid'] ?? '',
      timeline: Number(row['timeline']),
      walLsn: parseLsn(row['xlogpos'] ?? ''),
      database: row['dbname'] ?? '',
    };
  } finally {
    await walsender.end().catch(() => undefined);
  }
}

async function connect(options: PreflightOptions, place: string, replication: boolean): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: options.url,
    application_name: 'truespoke preflight',
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    ...(replication ? { replication: 'database' } : {}),
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw connectFailure(place, error);
  }
}

/** `host:port/database`, never user or password. */
export function placeOf(url: string): string {
  try {
    const parsed = new URL(url);
    return `${parsed.hostname}:${parsed.port === '' ? '5432' : parsed.port}${parsed.pathname}`;
  } catch {
    return '(hub.url)';
  }
}

const reasons: Readonly<Record<string, readonly [code: string, message: string, hint: string]>> = {
  ECONNREFUSED: ['hub_unreachable', 'nothing listens there', 'Start Postgres, or correct host and port in hub.url.'],
  ENOTFOUND: ['hub_unreachable', 'the host name is unknown', 'Correct the host in hub.url.'],
  EAI_AGAIN: ['hub_unreachable', 'the host name cannot be resolved now', 'Check the name server of this machine.'],
  EHOSTUNREACH: ['hub_unreachable', 'there is no route to the host', 'Check network and firewall.'],
  ETIMEDOUT: ['hub_unreachable', 'it does not answer', 'Check network and firewall.'],
  ECONNRESET: ['hub_unreachable', 'it closed the connection', 'Check that host and port are those of a Postgres.'],
  '28P01': ['hub_credential', 'the password is wrong', 'Correct the credential that hub.url refers to.'],
  '28000': ['hub_credential', 'the role may not log in from here', 'Check the role and pg_hba.conf of the server.'],
  '3D000': ['hub_no_database', 'the database does not exist', 'CREATE DATABASE it, or correct hub.url.'],
  '53300': ['hub_full', 'all its connections are in use', 'Raise max_connections or close other clients.'],
  '57P03': ['hub_starting', 'it is starting up or shutting down', 'Try again in a moment.'],
};

/** A failed connect as an error with a next step. */
export function connectFailure(place: string, error: unknown): TruespokeError {
  const key = sqlState(error) ?? (error as { code?: string }).code ?? '';
  const text = error instanceof Error && error.message !== '' ? error.message : key;
  const known = reasons[key] ?? (/timeout/i.test(text) ? reasons['ETIMEDOUT'] : undefined);
  return new Unreachable({
    code: known?.[0] ?? 'hub_unreachable',
    message: `hub ${place}: ${known?.[1] ?? 'cannot be connected to'} (${text})`,
    hint: known?.[2] ?? 'Check hub.url.',
    cause: error,
  });
}
