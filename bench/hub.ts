// Owns a hub to measure on: a fresh database with the real migrations, the tables of a mapping, and the pools that the engine uses.
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { systemClock } from '../src/base/clock.js';
import { silentLog } from '../src/base/log.js';
import { systemIds } from '../src/base/random.js';
import { must } from '../src/base/assert.js';
import { defaultLimits } from '../src/engine/engine.js';
import { createInbound, type Inbound } from '../src/inbound/pipeline.js';
import { parseMapping } from '../src/mapping/load.js';
import type { Entity, Mapping } from '../src/mapping/mapping.js';
import { entityName, spokeName, type EntityName } from '../src/model/ids.js';
import { openHubTable, type HubTable } from '../src/store/hub.js';
import { migrateHub } from '../src/store/hub-schema.js';
import { migrate } from '../src/store/migrate.js';
import { openPool, transaction, type Pool, type Queryable, type Row } from '../src/store/pool.js';
import { ensureFullIdentity } from '../src/store/resync.js';
import { registerSpoke } from '../src/store/spokes.js';
import type { Bench } from './harness.js';

export interface BenchHub {
  readonly url: string;
  readonly pool: Pool;
  readonly mapping: Mapping;
  readonly tables: ReadonlyMap<EntityName, HubTable>;
  readonly inbound: Inbound;
  entity(name: string): Entity;
  table(name: string): HubTable;
  sql(text: string, values?: readonly unknown[]): Promise<Row[]>;
  /** Bytes of WAL that `work` made the server write, others' included. */
  walBytes(work: () => Promise<void>): Promise<number>;
  drop(): Promise<void>;
}

/** The spokes are named in the mapping's YAML; all are of kind memory and never opened. */
export async function openHub(bench: Bench, yaml: string, spokes: readonly string[]): Promise<BenchHub> {
  const name = `b_${randomBytes(4).toString('hex')}`;
  const template = await templateOf(bench);
  await administer(bench, (db) => db.query(`create database ${name} template ${template}`));
  const url = `${bench.cluster}/${name}`;
  const pool = openPool({ url, applicationName: 'truespoke engine', max: 10, statementTimeoutMs: 0 });
  const { mapping } = parseMapping([{ file: 'bench.yaml', text: yaml }], { spokes: [...spokes] });
  await migrate(pool, resolve('migrations'));
  await migrateHub(pool, mapping);
  const tables = new Map<EntityName, HubTable>();
  for (const [entity, mapped] of mapping.entities) tables.set(entity, await openHubTable(pool, mapped));
  await transaction(pool, (tx) => ensureFullIdentity(tx, [...tables.values()]));
  for (const spoke of spokes) await registerSpoke(pool, spokeName(spoke), 'memory');
  const sql = async (text: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await (pool as Queryable).query(text, values)).rows;
  const { inbound: limits } = defaultLimits;
  return {
    url,
    pool,
    mapping,
    tables,
    inbound: createInbound({
      pool,
      clock: systemClock,
      ids: systemIds(systemClock),
      log: silentLog,
      mapping,
      tables,
      limits,
    }),
    entity: (entity) => must(mapping.entities.get(entityName(entity)), entity),
    table: (entity) => must(tables.get(entityName(entity)), entity),
    sql,
    async walBytes(work) {
      const at = async (): Promise<number> =>
        Number((await sql(`select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::text as at`))[0]?.['at']);
      const before = await at();
      await work();
      return (await at()) - before;
    },
    async drop() {
      await pool.end();
      await administer(bench, async (db) => {
        await db.query(
          `select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = '${name}' and not active`,
        );
        await db.query(`drop database ${name} with (force)`);
      });
    },
  };
}

const templates = new Map<string, Promise<string>>();

/** A database with the migrations in it, made once a run: a copy costs a fifth of making it anew. */
function templateOf(bench: Bench): Promise<string> {
  const known = templates.get(bench.cluster);
  if (known !== undefined) return known;
  const made = makeTemplate(bench);
  templates.set(bench.cluster, made);
  return made;
}

async function makeTemplate(bench: Bench): Promise<string> {
  const name = 'bench_template';
  await administer(bench, (db) => db.query(`create database ${name}`));
  const pool = openPool({ url: `${bench.cluster}/${name}`, applicationName: 'bench', max: 1 });
  await migrate(pool, resolve('migrations'));
  await pool.end();
  return name;
}

async function administer(bench: Bench, work: (db: Queryable) => Promise<unknown>): Promise<void> {
  const pool = openPool({ url: `${bench.cluster}/postgres`, applicationName: 'bench', max: 1, statementTimeoutMs: 0 });
  try {
    await work(pool);
  } finally {
    await pool.end();
  }
}
