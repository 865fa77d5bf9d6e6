// Owns databases for tests: a fresh one per file from a template (about 30 ms), dropped with its slots and backends.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { openPool, type Pool } from '../../src/store/pool.js';

export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Opened on first use; ended by `drop`. */
  readonly pool: Pool;
  /** Ends the pool, terminates every backend (walsenders too), drops its slots, then the database. */
  drop(): Promise<void>;
}

export interface TestTemplate {
  readonly name: string;
  /** Fills the template once per test run, e.g. runs the migrations. Must close its connections. */
  readonly build: (url: string) => Promise<void>;
}

export interface TestDatabaseOptions {
  /** Superuser URL without a database; the run's cluster when left out. */
  readonly cluster?: string;
  readonly template?: TestTemplate;
}

/** `const db = await testDatabase()` in beforeAll/beforeEach, `await db.drop()` in the matching after hook. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const cluster = options.cluster ?? inject('postgresUrl');
  const name = `t_${randomBytes(6).toString('hex')}`;
  await withClient(`${cluster}/postgres`, async (client) => {
    const from = options.template === undefined ? 'template0' : await template(client, cluster, options.template);
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${from}`);
  });
  const url = `${cluster}/${name}`;
  let pool: Pool | undefined;
  return {
    url,
    name,
    get pool() {
      pool ??= openPool({ url, applicationName: 'truespoke test', max: 10 });
      return pool;
    },
    async drop() {
      await pool?.end().catch(() => undefined);
      await withClient(`${cluster}/postgres`, (client) => dropDatabase(client, name));
    },
  };
}

/** As in server_version_num: tests run on more than one version. */
export async function serverVersion(pool: Pool): Promise<number> {
  const { rows } = await pool.query(`select current_setting('server_version_num') as version`);
  return Number(rows[0]?.['version']);
}

/** Builds the template if this run has not yet; an advisory lock keeps two workers from building it twice. */
async function template(client: pg.Client, cluster: string, wanted: TestTemplate): Promise<string> {
  const name = `template_${wanted.name}`;
  const exists = async (): Promise<boolean> =>
    (await client.query('SELECT 1 FROM pg_database WHERE datname = $1 AND datistemplate', [name])).rowCount === 1;
  if (await exists()) return name;
  await client.query('SELECT pg_advisory_lock(hashtext($1))', [name]);
  try {
    if (await exists()) return name;
    await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
    await wanted.build(`${cluster}/${name}`);
    await client.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, [name]);
    await client.query(`ALTER DATABASE ${name} IS_TEMPLATE true`);
    return name;
  } finally {
    await client.query('SELECT pg_advisory_unlock(hashtext($1))', [name]);
  }
}

async function dropDatabase(client: pg.Client, name: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
    await client.query(
      `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = $1 AND active_pid IS NOT NULL`,
      [name],
    );
    try {
      await client.query(
        `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1 AND NOT active`,
        [name],
      );
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      return;
    } catch (error) {
      // A terminated walsender needs a moment to let its slot go.
      if (attempt >= 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
